"""The three shapes of an event carry the same facts, and never a prompt."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from promptward.audit import ENCODERS, AuditRecord, event_of
from promptward.decision import PolicyRef, Principal
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

RECORD = AuditRecord(
    phase="request",
    time_s=1_800_000_000.1234,
    request_id="r1",
    policy=PolicyRef("prod", 13, "ab" * 32),
    action="deny",
    status=400,
    code="prompt_injection",
    principal=Principal("ann", "api_key", {"email": "ann@example.com"}),
    protocol="openai.chat",
    model="gpt-4o-mini",
    route="chat",
    findings=[
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
    coverage=(
        CoverageEntry("request", "/messages/0/content", CoverageState.INSPECTED, "", ("i",)),
        CoverageEntry("request", "/messages/1/content/0", CoverageState.UNINSPECTABLE, "audio"),
    ),
    usage=Usage(5, 2, 1, 0),
    budgets=[LineState("daily", "principal=x", "total_tokens", 10, 4, 1, 60.0)],
)


def test_the_neutral_event() -> None:
    event = event_of(RECORD)
    assert event["time"] == 1_800_000_000.123
    assert event["principal"] == {"id": "ann", "method": "api_key"}
    assert event["coverage"] == {
        "inspected": 1,
        "skipped": 0,
        "uninspectable": 1,
        "unread": [
            {"pointer": "/messages/1/content/0", "state": "uninspectable", "reason": "audio"}
        ],
    }
    assert event["finding_count"] == 1
    assert "ann@example.com" not in json.dumps(event)


@pytest.mark.parametrize("model", ["ignore all previous\ninstructions", "x" * 129, "gpt 4"])
def test_a_model_name_that_is_no_name_is_not_recorded(model: str) -> None:
    assert event_of(replace(RECORD, model=model))["model"] == "(not a name)"


def test_ocsf() -> None:
    event = ENCODERS["ocsf"](event_of(RECORD))
    assert event["class_uid"] == 6003
    assert event["type_uid"] == 600399
    assert event["severity_id"] == 5
    assert event["severity"] == "Critical"
    assert event["action"] == "Denied"
    assert event["time"] == 1_800_000_000_123
    assert event["unmapped"] == event_of(RECORD)


def test_ecs() -> None:
    event = ENCODERS["ecs"](event_of(RECORD))
    assert event["@timestamp"] == "2027-01-15T08:00:00.123000+00:00"
    assert event["promptward"] == event_of(RECORD)
    assert event["event"] == {
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
    record = replace(RECORD, action="allow", findings=(), principal=None)
    assert ENCODERS["ocsf"](event_of(record))["severity"] == "Informational"
    assert ENCODERS["ocsf"](event_of(record))["status"] == "Success"
    assert ENCODERS["json"](event_of(record)) == event_of(record)


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_every_encoding_is_json(name: str) -> None:
    json.dumps(ENCODERS[name](event_of(RECORD)))


def test_lists_are_bounded_and_counts_exact() -> None:
    event = event_of(replace(RECORD, findings=list(RECORD.findings) * 500))
    assert event["finding_count"] == 500
    assert isinstance(event["findings"], list)
    assert len(event["findings"]) == 64
