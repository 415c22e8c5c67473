"""An engine on this host, and what its log says of a bug."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from promptward.decision import Allow, Deny
from promptward.engine.ports import ABSENT
from promptward.policy import load_policy
from promptward.sync import run_sync
from promptward.testing.analyzer import answer, word_analyzer
from promptward.testing.fakes import RecordedAudit, chat_exchange, policy_with
from promptward_ports.hosting import build_engine, open_keys
from promptward_ports.jwks import AsyncJwksKeySource, JwksKeySource
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
    body["messages"] = [{"role": "user", "content": "I was Ann Lee"}]  # the other is remembered
    refused = run_sync(engine.on_request(chat_exchange(body)))
    analyzer.close()
    assert isinstance(refused, Deny)
    assert (refused.status, refused.code) == (503, "check_unavailable")


SHOW_MODULES = """
import sys
from promptward.policy import load_policy
from promptward_ports.hosting import build_engine
from promptward_ports.ledgers import open_ledger
build_engine(load_policy(sys.stdin.read()), open_ledger("memory://", timeout_s=1), None)
print(*sorted({"cryptography", "jwt", "requests", "presidio_analyzer"} & set(sys.modules)))
"""
API_KEYS = {"api_keys": {"keys": [{"id": "a", "sha256": "0" * 64}]}}
ISSUER = {"issuer": "https://idp.test", "audience": ["gateway"]}
SECRET = {**ISSUER, "algorithms": ["HS256"], "secret": "0123456789abcdef0123456789abcdef"}
PUBLISHED = {**ISSUER, "algorithms": ["RS256"], "jwks_uri": "https://idp.test/jwks"}


@pytest.mark.parametrize(
    ("identity", "imported"),
    [
        (API_KEYS, ""),
        ({"jwt": [SECRET]}, "cryptography jwt"),
        ({"jwt": [PUBLISHED]}, "cryptography jwt requests"),
    ],
)
def test_what_a_policy_does_not_ask_for_is_not_even_imported(
    identity: dict[str, object], imported: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOW_MODULES],
        input=policy_with(identity=identity),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == imported + "\n"


def test_keys_are_cached_as_the_host_waits() -> None:
    policy = load_policy(policy_with(identity={"jwt": [PUBLISHED]}))
    assert isinstance(open_keys(policy), JwksKeySource)
    assert isinstance(open_keys(policy, suspending=True), AsyncJwksKeySource)
    assert open_keys(load_policy(policy_with(identity=API_KEYS))) is ABSENT
