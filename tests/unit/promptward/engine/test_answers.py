"""Denials are finished answers."""

from __future__ import annotations

import json

from promptward.checks.content import Denial
from promptward.engine.answers import Refusal, deny
from promptward.errors import ExchangeError
from promptward.protocols import PROTOCOLS


def test_a_refusal_in_the_callers_protocol() -> None:
    refusal = Refusal(429, "budget_exceeded", "budget", "Too much.", (("retry-after", "3"),))
    answer = deny(refusal, PROTOCOLS["openai.chat"])
    assert dict(answer.headers) == {
        "content-type": "application/json; charset=utf-8",
        "cache-control": "no-store",
        "retry-after": "3",
    }
    error = json.loads(answer.body)["error"]
    assert (error["code"], error["message"]) == ("budget_exceeded", "Too much.")


def test_without_a_protocol_the_shape_is_neutral_and_the_code_the_same() -> None:
    answer = deny(Refusal.of(ExchangeError("bad", "Bad.", 415)), None)
    assert answer.status == 415
    assert '"bad"' in answer.body.decode()


def test_a_checks_refusal_says_whose_fault_it_is() -> None:
    assert Refusal.by(Denial("sensitive_data", "No.")).category == "content"
    assert Refusal.by(Denial("check_unavailable", "Later.", 503)).category == "unavailable"
