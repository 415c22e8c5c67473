"""Hints for misspelt names."""

from __future__ import annotations

import pytest

from promptward.recognizers.catalogue import CATALOGUE, GROUPS
from promptward.spelling import did_you_mean

ENTITIES = (*GROUPS, *CATALOGUE)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("EMAIL", "EMAIL_ADDRESS"),
        ("email", "EMAIL_ADDRESS"),
        ("Phone", "PHONE_NUMBER"),
        ("CREDITCARD", "CREDIT_CARD"),
        ("ssn", "US_SSN"),
        ("pii", "PII"),
        ("OPENAI", "OPENAI_API_KEY"),
    ],
)
def test_the_nearest_entity_is_named(written: str, meant: str) -> None:
    assert did_you_mean(written, ENTITIES) == f"; did you mean {meant!r}?"


@pytest.mark.parametrize("written", ["", "___", "colour", "x" * 10_000, "PII" * 100])
def test_what_is_near_nothing_has_no_hint(written: str) -> None:
    assert did_you_mean(written, ENTITIES) == ""


def test_of_several_longer_names_the_shortest_is_meant() -> None:
    assert did_you_mean("key", ["key_of_something_else", "key_other_thing"]) == (
        "; did you mean 'key_other_thing'?"
    )
