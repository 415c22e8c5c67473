"""Counters by closed sets of labels."""

from __future__ import annotations

from promptward.decision import Allow, Deny, Mutations, PolicyRef, Principal, Ticket
from promptward.engine import ResponseAllow
from promptward.findings import Effect, Finding, Severity
from promptward.llm import Usage
from promptward_envoy.metrics import Metrics

FINDING = Finding("privacy", "email", "sensitive_data", Severity.LOW, 1.0, Effect.REDACT)
TICKET = Ticket(
    "r",
    Principal("canary-principal", "jwt", {}),
    PolicyRef("p", 1, "0"),
    "",
    "canary-model",
    "",
    (),
    {},
    False,
    False,
    0,
    0.0,
)


def test_decisions_and_findings_are_counted_without_request_values() -> None:
    metrics = Metrics()
    metrics.count_decision("ext_proc", Allow(Mutations(), TICKET, (FINDING, FINDING), ()))
    metrics.count_decision("ext_authz", Deny(403, "nope", "x", "m", (), b"", (FINDING,), ()))
    text = metrics.render().decode()
    assert 'promptward_decisions_total{code="",filter="ext_proc",outcome="allow"} 1.0' in text
    assert 'promptward_decisions_total{code="nope",filter="ext_authz",outcome="deny"} 1.0' in text
    assert 'promptward_findings_total{check="privacy",effect="redact"} 3.0' in text
    assert "canary" not in text


def test_only_policies_in_force_are_one() -> None:
    metrics = Metrics()
    metrics.show_policies([PolicyRef("a", 1, "x"), PolicyRef("b", 1, "y")])
    metrics.show_policies([PolicyRef("a", 2, "z"), PolicyRef("b", 1, "y")])
    lines = [li for li in metrics.render().decode().splitlines() if li.startswith("promptward_pol")]
    values = {li.rpartition(" ")[0]: float(li.rpartition(" ")[2]) for li in lines if "info" in li}
    assert sorted(values.values()) == [0.0, 1.0, 1.0]


def test_responses_are_counted_by_findings_and_tokens() -> None:
    metrics = Metrics()
    metrics.count_response(ResponseAllow(Mutations(), Usage(7, 3), (FINDING,), ()))
    metrics.count_response(ResponseAllow(Mutations(), None, (), ()))
    metrics.count_response(object())
    text = metrics.render().decode()
    assert 'promptward_tokens_total{direction="input"} 7.0' in text
    assert 'promptward_tokens_total{direction="output"} 3.0' in text
    assert 'promptward_findings_total{check="privacy",effect="redact"} 1.0' in text
