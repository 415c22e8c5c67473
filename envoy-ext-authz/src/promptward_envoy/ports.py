"""The ports of this runtime: what an engine is given in an asyncio process behind Envoy."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from promptward.engine import EngineApi
from promptward.engine.ports import ABSENT
from promptward.exchange import JSON
from promptward.policy import CompiledPolicy
from promptward.ports import (
    AuditSink,
    BudgetLedger,
    Classifier,
    ClassifierQuery,
    ClassifierSpan,
    Jwk,
    KeySource,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
)
from promptward_envoy.offload import on_loop
from promptward_ports.audit_sinks import JsonLinesSink
from promptward_ports.classifiers import open_classifier
from promptward_ports.hosting import build_engine, open_keys


class NoAudit:
    """Discards events; for benchmarks."""

    dropped = failed = 0

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Discard the event."""

    def close(self) -> None:
        """Nothing is open."""


def open_audit(target: str) -> JsonLinesSink | NoAudit:
    """The sink named `target`: `stdout`, `none`, or a file to append to.

    Raises:
        OSError: the file cannot be opened.
    """
    if target == "none":
        return NoAudit()
    return JsonLinesSink(None if target == "stdout" else Path(target))


class LoopLedger:
    """`ledger`, asked on the event loop wherever the engine runs."""

    def __init__(self, ledger: BudgetLedger) -> None:
        self._ledger = ledger

    def reserve(self, request: ReserveRequest) -> Coroutine[Any, Any, ReserveOutcome]:
        return on_loop(self._ledger.reserve(request))

    def settle(self, request: SettleRequest) -> Coroutine[Any, Any, tuple[LineState, ...]]:
        return on_loop(self._ledger.settle(request))


class LoopKeys:
    """`keys`, as above."""

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys

    def keys(self, jwks_uri: str, kid: str | None) -> Coroutine[Any, Any, Sequence[Jwk]]:
        return on_loop(self._keys.keys(jwks_uri, kid))


class LoopClassifier:
    """`classifier`, as above."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def classify(
        self, query: ClassifierQuery, texts: Sequence[str]
    ) -> Coroutine[Any, Any, Sequence[Sequence[ClassifierSpan]]]:
        return on_loop(self._classifier.classify(query, texts))


class EngineFactory:
    """Gives compiled policies their ports; those that wait belong to the event loop (`offload`).

    Args:
        ledger: shared by all policies.
        audit: where events go.
    """

    def __init__(self, ledger: BudgetLedger, audit: AuditSink) -> None:
        self._ledger = LoopLedger(ledger)
        self._audit = audit

    def __call__(self, policy: CompiledPolicy) -> EngineApi:
        """An engine for `policy`; key servers and classifiers are asked off the loop.

        Raises:
            PolicyError: the policy needs a port that is not there.
        """
        keys = open_keys(policy, suspending=True)
        classifier = open_classifier(policy.classifier_queries, suspending=True)
        return build_engine(
            policy,
            self._ledger,
            self._audit,
            keys if keys is ABSENT else LoopKeys(keys),
            classifier and LoopClassifier(classifier),
        )
