"""Ports for tests: a clock that stands still, entropy that repeats, a sink that remembers."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from promptward.engine import Engine, Ports
from promptward.errors import PortError
from promptward.exchange import JSON, Body, Exchange, Headers
from promptward.policy import load_policy
from promptward.ports import (
    BudgetLedger,
    Classifier,
    ClassifierQuery,
    ClassifierSpan,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
)
from promptward_ports.ledgers import open_ledger
from promptward_ports.signatures import CryptographyVerifier

NOW_S = 1_800_000_000.0
KEY = "test-key"
# sha256 of KEY
_KEY_SHA256 = "62af8704764faf8ea82fc61ce9c4c3908b6cb97d463a634e9e587d7c885db0ef"

POLICY: dict[str, Any] = {
    "apiVersion": "promptward/v1",
    "kind": "AISecurityPolicy",
    "metadata": {"name": "test", "version": 1},
    "spec": {
        "identity": {
            "api_keys": {"keys": [{"id": "ann", "sha256": _KEY_SHA256, "claims": {"team": "red"}}]}
        },
        "authorization": {"default": "allow"},
    },
}


class FixedClock:
    """Stands still until it is set."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.time_s = now_s

    def now_s(self) -> float:
        return self.time_s


class CountingEntropy:
    """Bytes that count up: different every time, the same in every run."""

    def __init__(self) -> None:
        self._count = 0

    def token(self, size_bytes: int) -> bytes:
        self._count += 1
        return self._count.to_bytes(size_bytes, "big")


class RecordedAudit:
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []

    def emit(self, event: Mapping[str, JSON]) -> None:
        self.events.append(event)


class BrokenLedger:
    """A store that cannot be reached."""

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        raise PortError("ledger", f"down for {len(request.lines)} lines")

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        raise PortError("ledger", f"down for {len(request.amounts)} amounts")


class WordClassifier:
    """A classifier that knows a list of words, and nothing of language.

    Args:
        words: word -> entity; every occurrence is a span.
        error: raised instead of answering; may be changed.

    Attributes:
        calls: the query and the texts of each call.
    """

    def __init__(self, words: Mapping[str, str], error: PortError | None = None) -> None:
        self._words = words
        self.error = error
        self.calls: list[tuple[ClassifierQuery, list[str]]] = []

    async def classify(
        self, query: ClassifierQuery, texts: Sequence[str]
    ) -> list[list[ClassifierSpan]]:
        self.calls.append((query, list(texts)))
        if self.error is not None:
            raise self.error
        return [self.spans(text) for text in texts]

    def spans(self, text: str) -> list[ClassifierSpan]:
        """Where the words stand in one text."""
        return [
            ClassifierSpan(entity, found.start(), found.end(), 0.85)
            for word, entity in self._words.items()
            for found in re.finditer(re.escape(word), text)
        ]


def policy_with(change: Callable[[dict[str, Any]], None] | None = None, **spec: Any) -> str:
    """The text of the test policy with parts of its spec replaced.

    Args:
        change: edits the whole document after that.
    """
    document = copy.deepcopy(POLICY)
    document["spec"] |= spec
    if change is not None:
        change(document)
    return json.dumps(document)


class TestBench:
    """An engine under a policy, with everything it did in reach.

    Attributes:
        bugs: exceptions that became denials.
    """

    __test__ = False

    def __init__(
        self,
        policy: str,
        ledger: BudgetLedger | None = None,
        classifier: Classifier | None = None,
    ) -> None:
        self.clock = FixedClock()
        self.audit = RecordedAudit()
        self.bugs: list[Exception] = []
        self.ledger = ledger or open_ledger("memory://", timeout_s=1.0)
        self.engine = Engine(
            load_policy(policy),
            Ports(
                clock=self.clock,
                entropy=CountingEntropy(),
                audit=self.audit,
                ledger=self.ledger,
                verifier=CryptographyVerifier(),
                classifier=classifier,
                report_bug=self.bugs.append,
            ),
        )


def chat_exchange(body: Any = None, *, key: str | None = KEY, **fields: Any) -> Exchange:
    """A chat completion as the test policy's caller sends it.

    Args:
        body: JSON value, text or bytes; a harmless chat when left out.
        key: API key, None for no credentials.
        fields: of `Exchange`; `headers` are added to the usual ones.
    """
    if body is None:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
    if not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    headers = [("content-type", "application/json"), *fields.pop("headers", ())]
    if key is not None:
        headers.append(("authorization", f"Bearer {key}"))
    return Exchange(
        **{
            "method": "POST",
            "host": "gateway.test",
            "path": "/v1/chat/completions",
            "headers": Headers(headers),
            "body": Body(body),
            **fields,
        }
    )
