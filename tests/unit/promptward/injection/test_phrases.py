"""Phrases of several words."""

from __future__ import annotations

import pytest

from promptward.injection.phrases import Phrases, by_length

LITTLE = frozenset({"from", "on", "a"})


def found(phrases: list[tuple[str, str]], text: str) -> list[tuple[int, str]]:
    known = Phrases([((*p.split(),), c) for p, c in phrases], by_length(LITTLE, frozenset()))
    words, distinct = text.split(), frozenset(text.split())
    return sorted(known.find(words, known.among(known.keys & distinct, distinct)))


@pytest.mark.parametrize(
    ("phrase", "text", "ends"),
    [
        ("from now on", "and from now on you from now on", [3, 7]),
        ("from now on", "from now", []),
        ("from now on", "now on from", []),
        ("tryb deweloper*", "tryb deweloperski", [1]),
        ("tryb deweloper*", "tryb", []),
        ("a tryb deweloper*", "a tryb deweloper", [2]),
        ("a tryb deweloper*", "tryb deweloper a", []),
        ("a tryb deweloper*", "a tryb", []),
        ("longest from on", "longest from on", [2]),
        ("on a longest", "on a longest a longest", [2]),
        ("word for word", "word for word for word", [2, 4]),
        ("do do", "do do do", [1, 2]),
    ],
)
def test_phrases_stand_at_their_last_word(phrase: str, text: str, ends: list[int]) -> None:
    assert found([(phrase, "X")], text) == [(at, "X") for at in ends]


def test_phrases_of_one_key_are_all_found() -> None:
    phrases = [
        ("on longest", "A"),
        ("longest on", "B"),
        ("longest fo*", "C"),
        ("a longest on", "D"),
    ]
    assert found(phrases, "a longest on longest forever") == [
        (2, "B"), (2, "D"), (3, "A"), (4, "C"),
    ]  # fmt: skip


def test_phrases_are_looked_up_by_the_word_that_is_least_common() -> None:
    commonness = by_length(LITTLE, frozenset({"ordinary"}))
    phrases = Phrases([(("from", "seldom", "ordinary"), "X")], commonness)
    assert phrases.keys == {"seldom"}


def test_a_key_matters_only_beside_the_other_words_of_a_phrase() -> None:
    phrases = Phrases(
        [(("seldom", "from", "on"), "X"), (("a", "seldom"), "Y")],
        by_length(LITTLE, frozenset()),
    )
    for others, matters in (("", False), ("from", False), ("from on", True), ("a", True)):
        distinct = frozenset(["seldom", *others.split()])
        assert phrases.among(["seldom"], distinct) == frozenset(["seldom"] * matters)
