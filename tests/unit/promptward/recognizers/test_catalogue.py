"""The catalogue as a whole."""

from __future__ import annotations

import pytest

from promptward.recognizers import CATALOGUE, GROUPS, RecognizerSet, expand, recognizers_for
from promptward.recognizers.syntax import parse


def test_every_entity_is_in_exactly_one_group() -> None:
    assert sorted([*GROUPS["PII"], *GROUPS["SECRET"]]) == sorted(CATALOGUE)


def test_ids_are_unique_and_patterns_parse() -> None:
    specs = [spec for group in CATALOGUE.values() for spec in group]
    assert len({spec.id for spec in specs}) == len(specs)
    for entity, group in CATALOGUE.items():
        assert all(spec.entity == entity for spec in group)
        for spec in group:
            parse(spec.pattern)


def test_context_words_are_lower_case() -> None:
    for group in CATALOGUE.values():
        for spec in group:
            assert all(word == word.lower() for word in (*spec.context, *spec.denial))


def test_names_and_groups_expand() -> None:
    assert expand(["US_SSN", "SECRET"]) == ("US_SSN", *GROUPS["SECRET"])
    assert expand(["SECRET", "JWT"]) == GROUPS["SECRET"]
    with pytest.raises(KeyError):
        expand(["NOPE"])


def test_only_what_is_named_is_compiled() -> None:
    named = RecognizerSet(recognizers_for(["US_SSN"]))
    assert named.entities == {"US_SSN"}
    assert named.find("ann@example.org 188-41-4132")[0].entity == "US_SSN"
    assert len(named.find("ann@example.org")) == 0
