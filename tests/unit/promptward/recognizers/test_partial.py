"""Viable prefixes of single constructs; the law over all patterns is a property test."""

from __future__ import annotations

import re

import pytest

from promptward.recognizers.partial import prefix_source
from promptward.recognizers.syntax import parse


@pytest.mark.parametrize(
    ("pattern", "viable", "dead"),
    [
        ("AKIA[0-9]{2}", ["A", "AKI", "AKIA", "AKIA1", "AKIA12"], ["B", "AKX", "AKIAx", "AKIA123"]),
        ("(?:ab|cd)e", ["a", "ab", "c", "cde"], ["ad", "e"]),
        ("(?:ab){1,2}c", ["ab", "aba", "abab", "ababc"], ["ababa", "abb"]),
        ("foo\\b", ["f", "foo"], ["food"]),
        ("a?b{2}", ["a", "b", "ab", "abb"], ["aa", "bbb"]),
    ],
)
def test_prefixes(pattern: str, viable: list[str], dead: list[str]) -> None:
    compiled = re.compile(f"(?:{prefix_source(parse(pattern))})\\Z")
    assert all(compiled.match(text) for text in viable)
    assert not any(compiled.match(text) for text in dead)
