"""An engine on this host, and what its log says of a bug."""

from __future__ import annotations

import logging

import pytest

from promptward.decision import Allow, Deny
from promptward.policy import load_policy
from promptward.sync import run_sync
from promptward.testing.analyzer import answer, word_analyzer
from promptward.testing.fakes import RecordedAudit, chat_exchange, policy_with
from promptward_ports.hosting import build_engine
from promptward_ports.ledgers import open_ledger


def test_an_engine_decides_with_real_ports() -> None:
    budget = {"id": "b", "limit": 100_000}
    ledger = open_ledger("memory://", timeout_s=1)
    engine = build_engine(load_policy(policy_with(budgets=[budget])), ledger, RecordedAudit())
    first, second = (run_sync(engine.on_request(chat_exchange())) for _ in range(2))
    assert isinstance(first, Allow)
    assert isinstance(second, Allow)
    assert len(first.ticket.request_id) == 32
    assert first.ticket.request_id != second.ticket.request_id


def test_the_log_names_the_place_of_a_bug_and_nothing_of_the_prompt(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = {"id": "p", "type": "pii"}
    ledger = open_ledger("memory://", timeout_s=1)
    engine = build_engine(load_policy(policy_with(checks=[check])), ledger, RecordedAudit())

    async def broken(_phase: object, parts: list[object], _conversation: object) -> None:
        raise ValueError(f"cannot read {parts}")

    monkeypatch.setattr(engine.policy.request_checks[0], "inspect", broken)
    body = {"model": "m", "messages": [{"role": "user", "content": "canary-4711"}]}
    with caplog.at_level(logging.ERROR):
        decision = run_sync(engine.on_request(chat_exchange(body)))
    assert isinstance(decision, Deny)
    assert "ValueError at " in caplog.text
    assert "test_hosting.py" in caplog.text
    assert "canary-4711" not in caplog.text


def test_a_policy_that_names_a_classifier_gets_one() -> None:
    analyzer = word_analyzer({"Ann Lee": "PERSON"})
    names = {"url": analyzer.url, "entities": [{"type": "PERSON"}]}
    check = {"id": "p", "type": "pii", "classifier": names}
    ledger = open_ledger("memory://", timeout_s=1)
    engine = build_engine(load_policy(policy_with(checks=[check])), ledger, RecordedAudit())
    body = {"model": "m", "messages": [{"role": "user", "content": "I am Ann Lee"}]}
    decision = run_sync(engine.on_request(chat_exchange(body)))
    assert isinstance(decision, Allow)
    assert b"I am <PERSON>" in (decision.mutations.body or b"")
    analyzer.fault = answer({"error": "boom"}, 500)
    refused = run_sync(engine.on_request(chat_exchange(body)))
    analyzer.close()
    assert isinstance(refused, Deny)
    assert (refused.status, refused.code) == (503, "check_unavailable")
