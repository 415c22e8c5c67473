"""How failures are logged."""

from __future__ import annotations

import json

from promptward.errors import PortError
from promptward_worker.failures import failure_event


def caught(error: Exception) -> Exception:
    try:
        raise error
    except Exception as raised:
        return raised


def test_a_stranger_is_named_by_type_and_place_only() -> None:
    event = failure_event("guard_failed", caught(ValueError("canary: my prompt")))
    assert event["error"] == "ValueError"
    assert str(event["at"]).startswith("test_failures.py:")
    assert "canary" not in json.dumps(event)


def test_our_own_errors_hold_no_prompts_and_are_shown() -> None:
    event = failure_event("settle_failed", caught(PortError("ledger", "no answer")))
    assert event["details"] == "ledger: no answer"
