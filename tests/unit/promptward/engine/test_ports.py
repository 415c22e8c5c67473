"""A port that is not there fails closed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promptward.decision import Allow
from promptward.engine import Engine
from promptward.engine.ports import ABSENT, Ports
from promptward.errors import PolicyError, PortError
from promptward.policy import load_policy
from promptward.ports import ReserveRequest, SettleRequest
from promptward.sync import run_sync
from promptward.testing.fakes import (
    CountingEntropy,
    FixedClock,
    RecordedAudit,
    WordClassifier,
    chat_exchange,
    policy_with,
)
from promptward_ports.ledgers import open_ledger
from promptward_ports.signatures import CryptographyVerifier


def test_absent_ports_refuse() -> None:
    for call in (
        ABSENT.reserve(ReserveRequest("r", "", (), 1)),
        ABSENT.settle(SettleRequest("r", "")),
        ABSENT.verify("RS256", {}, b"", b""),
        ABSENT.keys("https://x.test", None),
    ):
        with pytest.raises(PortError):
            run_sync(call)  # type: ignore[arg-type]


def test_reporting_a_bug_may_go_nowhere() -> None:
    Ports(FixedClock(), CountingEntropy(), RecordedAudit()).report_bug(ValueError("x"))


def test_a_host_that_reads_no_streams_asks_for_no_usage_event() -> None:
    text = policy_with(budgets=[{"id": "t", "limit": 100_000}])
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
    injected = []
    for sees_streams in (True, False):
        ledger = open_ledger("memory://", timeout_s=1)
        ports = Ports(
            FixedClock(), CountingEntropy(), RecordedAudit(), ledger, sees_streams=sees_streams
        )
        decision = run_sync(Engine(load_policy(text), ports).on_request(chat_exchange(body)))
        assert isinstance(decision, Allow)
        injected.append(decision.ticket.usage_injected)
    assert injected == [True, False]


class OneToken:
    def count(self, text: str, vocabulary: str) -> int:
        return 1


def test_a_policy_that_counts_exactly_needs_the_port() -> None:
    text = policy_with(budgets=[{"id": "t", "limit": 100_000}], token_counting="exact")
    ledger = open_ledger("memory://", timeout_s=1)
    ports = Ports(FixedClock(), CountingEntropy(), RecordedAudit(), ledger)
    with pytest.raises(PolicyError, match="the policy needs an exact token counter"):
        Engine(load_policy(text), ports)
    engine = Engine(load_policy(text), replace(ports, tokens=OneToken()))
    body = {"model": "m", "messages": [{"role": "user", "content": "one two three four five"}]}
    decision = run_sync(engine.on_request(chat_exchange(body)))
    assert isinstance(decision, Allow)
    assert decision.ticket.input_tokens == 1 + 4  # and the message's frame


def test_a_policy_with_a_classifier_needs_the_port() -> None:
    names = {"url": "http://analyzer.test", "entities": [{"type": "PERSON"}]}
    text = policy_with(checks=[{"id": "p", "type": "pii", "classifier": names}])
    ports = Ports(FixedClock(), CountingEntropy(), RecordedAudit(), verifier=CryptographyVerifier())
    with pytest.raises(PolicyError, match="the policy needs an external classifier"):
        Engine(load_policy(text), ports)
    Engine(load_policy(text), replace(ports, classifier=WordClassifier({})))
