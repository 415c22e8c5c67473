"""A trie's pattern matches its words, the longest that is there."""

from __future__ import annotations

import re

import pytest

from promptward.recognizers.tries import trie_of, trie_pattern

WORDS = ("car", "card", "cat", "dog")


@pytest.mark.parametrize(
    ("text", "word"), [("cards", "card"), ("care", "car"), ("cat", "cat"), ("do", None)]
)
def test_words(text: str, word: str | None) -> None:
    found = re.match(trie_pattern(trie_of(WORDS), re.escape), text)
    assert (found[0] if found else None) == word


def test_no_words_are_the_empty_pattern() -> None:
    assert trie_pattern(trie_of(()), re.escape) == ""


def test_characters_are_written_as_told() -> None:
    assert trie_pattern(trie_of(["a1"]), lambda char: {"1": "[0-9]"}.get(char, char)) == "a[0-9]"
