"""RecognizerSet: how matches of several recognizers become one list."""

from __future__ import annotations

import pytest

from promptward.recognizers import Anywhere, Match, Recognizer, RecognizerSet
from promptward.recognizers.matcher import resolve


def recognizer(id: str, pattern: str, score: float = 0.9, **more: object) -> Recognizer:  # noqa: A002
    return Recognizer(id, id.upper(), pattern, score, Anywhere(), **more)  # type: ignore[arg-type]


def m(id: str, start: int, end: int, score: float) -> Match:  # noqa: A002
    return Match(id.upper(), start, end, score, id)


@pytest.mark.parametrize(
    ("candidates", "kept"),
    [
        ([], []),
        ([m("a", 0, 5, 0.5), m("b", 3, 8, 0.9)], [m("b", 3, 8, 0.9)]),  # the higher score
        ([m("a", 0, 5, 0.5), m("b", 0, 8, 0.5)], [m("b", 0, 8, 0.5)]),  # then the longer
        ([m("b", 2, 7, 0.5), m("a", 0, 5, 0.5)], [m("a", 0, 5, 0.5)]),  # then the earlier
        ([m("b", 0, 5, 0.5), m("a", 0, 5, 0.5)], [m("a", 0, 5, 0.5)]),  # then the id
        ([m("b", 5, 9, 0.5), m("a", 0, 5, 0.5)], [m("a", 0, 5, 0.5), m("b", 5, 9, 0.5)]),
        (  # what only overlaps a loser stays
            [m("a", 0, 4, 0.6), m("b", 3, 7, 0.9), m("c", 6, 9, 0.5), m("d", 8, 12, 0.4)],
            [m("b", 3, 7, 0.9), m("d", 8, 12, 0.4)],
        ),
    ],
)
def test_resolve(candidates: list[Match], kept: list[Match]) -> None:
    assert resolve(candidates) == kept
    assert resolve(reversed(candidates)) == kept


def test_a_rejected_match_hides_nothing() -> None:
    own = recognizer("even", "[0-9]{2}", validate=lambda value: int(value) % 2 == 0, not_before="")
    found = RecognizerSet([own]).find("1234x")
    assert found == []  # not_after: the digits go on
    own = recognizer(
        "even", "[0-9]{2}", validate=lambda v: int(v) % 2 == 0, not_before="", not_after=""
    )
    assert [(x.start, x.end) for x in RecognizerSet([own]).find("134x")] == [(1, 3)]


def test_minimum_scores_are_per_entity() -> None:
    specs = [recognizer("weak", "aa", 0.4), recognizer("strong", "bb", 0.6)]
    assert [x.entity for x in RecognizerSet(specs).find("aa bb")] == ["STRONG"]
    both = RecognizerSet(specs, min_scores={"WEAK": 0.3, "STRONG": 0.7})
    assert [x.entity for x in both.find("aa bb")] == ["WEAK"]


def test_a_number_from_a_validator_lowers_the_score_only() -> None:
    low = recognizer("a", "aa", 0.9, validate=lambda _: 0.6)
    high = recognizer("b", "bb", 0.9, validate=lambda _: 1.0)
    assert [x.score for x in RecognizerSet([low, high]).find("aa bb")] == [0.6, 0.9]


def test_the_nearest_word_decides() -> None:
    own = recognizer("n", "[0-9]{4}", 0.2, context=("pin",), denial=("order",))
    found = RecognizerSet([own]).find
    assert found("1234") == []
    assert len(found("pin 1234")) == 1
    assert len(found("order pin 1234")) == 1
    assert found("pin order 1234") == []
    assert found("pin " + "x " * 24 + "1234") == []  # too far away


def test_preceded_and_followed_by() -> None:
    own = recognizer("v", "[a-z]{3}", preceded_by="key ?= ?", followed_by=";", not_after="")
    found = RecognizerSet([own]).find
    assert [(x.start, x.end) for x in found("KEY = abc; key=def. abc;")] == [(6, 9)]


def test_ids_are_unique_and_empty_matches_refused() -> None:
    with pytest.raises(ValueError, match="unique"):
        RecognizerSet([recognizer("a", "x"), recognizer("a", "y")])
    with pytest.raises(ValueError, match="empty"):
        RecognizerSet([recognizer("a", "x?")])


def test_an_empty_set_finds_nothing() -> None:
    empty = RecognizerSet([])
    assert empty.find("ann@example.org") == []
    assert empty.hold_from("ann@", 0) == 4
    assert empty.max_reach == 0
