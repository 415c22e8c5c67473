"""Recognizers of a policy: every problem is named, and what is accepted works."""

from __future__ import annotations

from typing import get_args

import pytest

from promptward.errors import PolicyError
from promptward.recognizers import VALIDATORS, RecognizerSet, ValidatorName, user_recognizer


def test_a_pattern_with_a_validator() -> None:
    own = user_recognizer("loyalty", "LOYALTY_CARD", "LC-[0-9]{8}", validator="luhn")
    found = RecognizerSet([own]).find("LC-79927390 and LC-12345674 LC-12345675")
    assert [(m.entity, m.start, m.score) for m in found] == [("LOYALTY_CARD", 16, 0.85)]


def test_context_is_required_when_it_is_given() -> None:
    own = user_recognizer("case", "CASE", "[0-9]{6}", context=["Docket"], score=0.7)
    found = RecognizerSet([own]).find
    assert found("123456") == []
    assert [m.score for m in found("docket no 123456")] == [0.7]


def test_a_policy_may_name_every_validator_and_no_other() -> None:
    assert get_args(ValidatorName) == tuple(VALIDATORS)


def test_all_problems_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        user_recognizer("1 bad", "also bad!", "(?=x)", validator="luhnn", context=[" "], score=2.0)
    text = "\n".join(caught.value.problems)
    for part in ("id", "entity", "lookaround", "did you mean 'luhn'", "luhn, ", "score", "context"):
        assert part in text


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a*", "upper bound"),
        ("x?", "empty string"),
        ("[a-z]{2000}", "at most 1000"),
        ("(?:a{1,50}){1,19}b", "very many steps"),
    ],
)
def test_refused_patterns(pattern: str, why: str) -> None:
    with pytest.raises(PolicyError) as caught:
        user_recognizer("x", "X", pattern)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("luhn", "79927398713", "79927398714"),
        ("iban", "DE89370400440532013000", "DE89370400440532013001"),
        ("mod97", "370400440532013000131489", "370400440532013000131488"),
        ("verhoeff", "2363", "2364"),
        ("entropy", "a8F3k9Zq2LmX", "aaaaaaaabbbb"),
    ],
)
def test_validators(name: str, good: str, bad: str) -> None:
    assert VALIDATORS[name](good)
    assert not VALIDATORS[name](bad)
    assert not VALIDATORS[name]("")
