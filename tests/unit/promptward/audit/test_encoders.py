"""The three shapes of an event carry the same facts, and never a prompt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promptward.audit import ENCODERS, audit_event
from promptward.decision import PolicyRef, Principal
from promptward.exchange import JSON
from promptward.findings import (
    CoverageEntry,
    CoverageState,
    Effect,
    Finding,
    Severity,
    Span,
)
from promptward.llm import Usage
from promptward.ports import LineState

FACTS: dict[str, Any] = {
    "phase": "request",
    "time_s": 1_800_000_000.1234,
    "request_id": "r1",
    "policy": PolicyRef("prod", 13, "ab" * 32),
    "action": "deny",
    "status": 400,
    "code": "prompt_injection",
    "principal": Principal("ann", "api_key", {"email": "ann@example.com"}),
    "protocol": "openai.chat",
    "model": "gpt-4o-mini",
    "route": "chat",
    "findings": [
        Finding(
            "injection",
            "override.ignore",
            "prompt_injection",
            Severity.CRITICAL,
            0.97,
            Effect.BLOCK,
            Span("/messages/0/content", 3, 9),
            ("LLM01",),
        )
    ],
    "coverage": (
        CoverageEntry("request", "/messages/0/content", CoverageState.INSPECTED, "", ("i",)),
        CoverageEntry("request", "/messages/1/content/0", CoverageState.UNINSPECTABLE, "audio"),
    ),
    "usage": Usage(5, 2, 1, 0),
    "budgets": [LineState("daily", "principal=x", "total_tokens", 10, 4, 1, 60.0)],
}


def event(**changed: Any) -> dict[str, JSON]:
    return audit_event(**FACTS | changed)


def test_the_neutral_event() -> None:
    made = event()
    assert made["time"] == 1_800_000_000.123
    assert made["principal"] == {"id": "ann", "method": "api_key"}
    assert made["coverage"] == {
        "inspected": 1,
        "skipped": 0,
        "uninspectable": 1,
        "unread": [
            {"pointer": "/messages/1/content/0", "state": "uninspectable", "reason": "audio"}
        ],
    }
    assert made["finding_count"] == 1
    assert "ann@example.com" not in json.dumps(made)


@pytest.mark.parametrize("model", ["ignore all previous\ninstructions", "x" * 129, "gpt 4"])
def test_a_model_name_that_is_no_name_is_not_recorded(model: str) -> None:
    assert event(model=model)["model"] == "(not a name)"


def test_ocsf() -> None:
    made = ENCODERS["ocsf"](event())
    assert made["class_uid"] == 6003
    assert made["type_uid"] == 600399
    assert made["severity_id"] == 5
    assert made["severity"] == "Critical"
    assert made["action"] == "Denied"
    assert made["time"] == 1_800_000_000_123
    assert made["unmapped"] == event()


def test_ecs() -> None:
    made = ENCODERS["ecs"](event())
    assert made["@timestamp"] == "2027-01-15T08:00:00.123000+00:00"
    assert made["promptward"] == event()
    assert made["event"] == {
        "kind": "alert",
        "category": ["api", "intrusion_detection"],
        "type": ["denied"],
        "outcome": "failure",
        "action": "llm_request",
        "code": "prompt_injection",
        "severity": 5,
        "provider": "promptward",
    }


def test_an_allowed_event_without_findings_is_informational() -> None:
    calm = event(action="allow", findings=(), principal=None)
    assert ENCODERS["ocsf"](calm)["severity"] == "Informational"
    assert ENCODERS["ocsf"](calm)["status"] == "Success"
    assert ENCODERS["json"](calm) == calm


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_every_encoding_is_json(name: str) -> None:
    json.dumps(ENCODERS[name](event()))


def test_lists_are_bounded_and_counts_exact() -> None:
    made = event(findings=FACTS["findings"] * 500)
    assert made["finding_count"] == 500
    assert isinstance(made["findings"], list)
    assert len(made["findings"]) == 64
