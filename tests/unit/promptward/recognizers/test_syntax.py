"""The pattern language: what it accepts, refuses, and how it measures."""

from __future__ import annotations

import re

import pytest

from promptward.errors import PolicyError
from promptward.recognizers.syntax import (
    first_chars,
    max_length,
    min_length,
    parse,
    to_source,
)


@pytest.mark.parametrize(
    ("pattern", "least", "most"),
    [
        ("abc", 3, 3),
        ("a{2,5}b?", 2, 6),
        ("(?:ab|c)", 1, 2),
        ("\\bx\\b", 1, 1),
        ("(?:a{1,3}-){2}", 4, 8),
        ("[^a-c]\\d\\w\\s.", 5, 5),
        ("", 0, 0),
    ],
)
def test_lengths(pattern: str, least: int, most: int) -> None:
    node = parse(pattern)
    assert (min_length(node), max_length(node)) == (least, most)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("\\d{3}", ["123"], ["１２３", "12"]),  # RE2's \d is ASCII
        ("\\w", ["a", "_"], ["ä", "-"]),
        ("[\\]\\-a]", ["]", "-", "a"], ["b"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[^\\s]", ["x"], [" ", "\n"]),
        ("(?i)ab[c]\\x41", ["ABCa", "abca"], ["abc1"]),
        ("\\x{4e2d}\\.", ["中."], ["中x"]),
        ("a.c", ["abc", "a😀c"], ["a\nc"]),
        ("(ab){2}?", ["abab"], ["ab"]),
        ("a+?".replace("+", "{1,3}"), ["aaa"], [""]),
        ("\\$\\{x\\}", ["${x}"], ["$x"]),
        ("é|[à-ü]", ["é", "ö"], ["e"]),
    ],
)
def test_meaning(pattern: str, yes: list[str], no: list[str]) -> None:
    compiled = re.compile(to_source(parse(pattern)), re.ASCII)
    assert all(compiled.fullmatch(text) for text in yes)
    assert not any(compiled.fullmatch(text) for text in no)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a*", "no upper bound"),
        ("a+", "no upper bound"),
        ("a{2,}", "no upper bound"),
        ("a{3,2}", "n <= m"),
        ("a{0}", "1 <= m"),
        ("a{1,99999}", "1 <= m"),
        ("a{x}", "literal brace"),
        ("^a", "anywhere"),
        ("a$", "anywhere"),
        ("(?=a)", "lookaround"),
        ("(?<!a)b", "lookaround"),
        ("(?P<n>a)", "names"),
        ("(a)\\1", "\\1 is not supported"),
        ("\\pL", "not supported"),
        ("[[:alpha:]]", "POSIX"),
        ("[a", "missing ']'"),
        ("(a", "missing ')'"),
        ("a)", "unbalanced"),
        ("?a", "nothing to repeat"),
        ("a{1,2}{3}", "repeat of a repeat"),
        ("\\b?", "cannot be repeated"),
        ("[z-a]", "range"),
        ("[\\d-z]".replace("\\d-z", "a-\\d"), "range"),
        ("\\xZZ", "hexadecimal"),
        ("\\x{110000}", "hexadecimal"),
        ("a\\", "backslash"),
        ("[\\b]", "inside a class"),
    ],
)
def test_refused_with_a_reason(pattern: str, why: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(pattern)
    (problem,) = caught.value.problems
    assert why in problem
    assert "column" in problem


def test_first_characters() -> None:
    assert first_chars(parse("a?[0-9]x")) == ((0x30, 0x39), (0x61, 0x61))
    assert first_chars(parse("\\b(?:x|y)")) == ((0x78, 0x79),)
