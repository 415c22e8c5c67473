"""The shared scan of digit runs."""

from __future__ import annotations

import pytest

from promptward.recognizers import Digits, Match, Recognizer
from promptward.recognizers.compiled import CompiledRecognizer
from promptward.recognizers.digits import DigitScanner


def scan(text: str, *specs: Recognizer, start: int = 0) -> list[str]:
    scanner = DigitScanner([(CompiledRecognizer(spec), 0.5) for spec in specs])
    found: list[Match] = []
    scanner.scan(text, start, found)
    return [text[m.start : m.end] for m in found]


def number(pattern: str, least: int, lead: int = 0, **more: object) -> Recognizer:
    return Recognizer("n", "N", pattern, 0.9, Digits(least, lead), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("123-45-6789", ["123-45-6789"]),
        ("a 123-45-6789 b 987-65-4321", ["123-45-6789", "987-65-4321"]),
        ("1 123-45-6789", ["123-45-6789"]),
        ("123-45-67890", []),
        ("x123-45-6789", []),
        ("123 456 789", []),
        ("", []),
    ],
)
def test_shapes(text: str, found: list[str]) -> None:
    assert scan(text, number("[0-9]{3}-[0-9]{2}-[0-9]{4}", 9)) == found


def test_letters_before_the_digits() -> None:
    spec = number("[A-Z]{2} ?[0-9]{6}", 6, lead=3)
    assert scan("AB123456, CD 654321 and 111111", spec) == ["AB123456", "CD 654321"]


def test_start_leaves_out_what_begins_before_it() -> None:
    spec = number("[0-9]{6}", 6)
    assert scan("123456 654321", spec, start=1) == ["654321"]


def test_a_context_word_is_required_when_the_score_says_so() -> None:
    spec = number("[0-9]{6}", 6, context=("pin",))
    weak = Recognizer("w", "W", "[0-9]{6}", 0.1, Digits(6), context=("pin",))
    assert scan("123456", spec) == ["123456"]
    assert scan("123456", weak) == []
    assert scan("the pin is 123456", weak) == ["123456"]


@pytest.mark.parametrize(
    "spec",
    [
        number("-[0-9]{6}", 6),
        number("[0-9]{6}", 6, not_before="[a-z]"),
        Recognizer("c", "C", "[0-9]{6}", 0.1, Digits(6, lead=40), context=("pin",)),
    ],
)
def test_what_the_scan_cannot_serve_is_refused(spec: Recognizer) -> None:
    with pytest.raises(ValueError, match=r"number|digit|context"):
        scan("123456", spec)
