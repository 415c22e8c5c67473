"""A trie's pattern matches its words, the longest or the shortest that is there."""

from __future__ import annotations

import re

import pytest

from promptward.recognizers.tries import trie_of, trie_pattern

WORDS = ("car", "card", "cat", "dog")


@pytest.mark.parametrize(
    ("text", "longest", "shortest"),
    [("cards", "card", "car"), ("care", "car", "car"), ("cat", "cat", "cat"), ("do", None, None)],
)
def test_words(text: str, longest: str | None, shortest: str | None) -> None:
    for whole, expected in ((True, longest), (False, shortest)):
        found = re.match(trie_pattern(trie_of(WORDS), re.escape, whole=whole), text)
        assert (found[0] if found else None) == expected


def test_no_words_are_the_empty_pattern() -> None:
    assert trie_pattern(trie_of(()), re.escape) == ""


def test_characters_are_written_as_told() -> None:
    assert trie_pattern(trie_of(["a1"]), lambda char: {"1": "[0-9]"}.get(char, char)) == "a[0-9]"
