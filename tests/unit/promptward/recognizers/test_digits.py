"""The shared scan of digit runs."""

from __future__ import annotations

import pytest

from promptward.recognizers import Digits, Match, Recognizer, digit_chunks
from promptward.recognizers.compiled import CompiledRecognizer
from promptward.recognizers.digits import DigitScanner


def scan(text: str, *specs: Recognizer, start: int = 0) -> list[str]:
    scanner = DigitScanner([(CompiledRecognizer(spec), 0.5) for spec in specs])
    found: list[Match] = []
    scanner.scan(text, start, found)
    return [text[m.start : m.end] for m in found]


def number(pattern: str, **more: object) -> Recognizer:
    return Recognizer("n", "N", pattern, 0.9, Digits(), **more)  # type: ignore[arg-type]


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
    assert scan(text, number("[0-9]{3}-[0-9]{2}-[0-9]{4}")) == found


def test_letters_before_the_digits() -> None:
    spec = number("[A-Z]{2} ?[0-9]{6}")
    assert scan("AB123456, CD 654321 and 111111", spec) == ["AB123456", "CD 654321"]


def test_start_leaves_out_what_begins_before_it() -> None:
    spec = number("[0-9]{6}")
    assert scan("123456 654321", spec, start=1) == ["654321"]


def test_a_context_word_is_required_when_the_score_says_so() -> None:
    spec = number("[0-9]{6}", context=("pin",))
    weak = Recognizer("w", "W", "[0-9]{6}", 0.1, Digits(), context=("pin",))
    assert scan("123456", spec) == ["123456"]
    assert scan("123456", weak) == []
    assert scan("the pin is 123456", weak) == ["123456"]


def test_a_label_after_the_number() -> None:
    spec = Recognizer(
        "l", "L", "[0-9](?:[ -]?[0-9]){5,8}", 0.9, Digits(labels=("home", "desk")),
        followed_by="(?i)[ ,]{0,2}(?:home|desk)\\b", not_after="",
    )  # fmt: skip
    assert scan("123 456 Home, 777 888, 999-888 desk 123456", spec) == ["123 456", "999-888"]


def test_letters_of_any_number_before_the_digits() -> None:
    month = Recognizer(
        "m", "M", "(?i)[a-z]{3,9} [0-9]{1,2}, [0-9]{4}", 0.1, Digits(), context=("born",)
    )
    assert scan("On May 3, 1990, born September 12, 1991 in May", month) == ["September 12, 1991"]
    always = number("(?i)[a-z]{3,9} [0-9]{1,2}, [0-9]{4}")
    assert scan("On May 3, 1990 and June 12, 1991", always) == ["May 3, 1990", "June 12, 1991"]


def test_what_begins_earlier_comes_first_whether_it_has_a_shape_or_not() -> None:
    pattern = "[0-9]{2}/[0-9]{4}|[A-Za-z]{2,9} [0-9]{2}"
    weak = Recognizer("w", "W", pattern, 0.1, Digits(), context=("pin",))
    text = "pin may 12/3456, 78/9012 in July 34/5678"
    for spec in (number(pattern), weak):
        assert scan(text, spec) == ["may 12", "78/9012", "July 34"]


def test_a_run_of_digits_longer_than_a_stretch() -> None:
    row = "12 " * 500
    spec = number("99 12 12 99")
    for place in range(0, len(row), 3):
        assert scan(row[:place] + "99 12 12 99 " + row[place:], spec) == ["99 12 12 99"], place


def test_a_context_word_reaches_as_far_as_windows_do() -> None:
    weak = Recognizer("w", "W", "[0-9]{6}", 0.1, Digits(), context=("pin",))
    for gap in range(60):
        found = scan("pin" + " " * gap + " 7 123456", weak)
        assert found == (["123456"] if gap + 3 <= 45 else []), gap


def test_a_word_character_before_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="word character"):
        scan("123456", number("[0-9]{6}", not_before="[a-z]"))


def test_a_text_is_searched_in_chunks_that_hide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digit_chunks, "_CHUNK", 64)
    weak = Recognizer("w", "W", "[0-9]{6}", 0.1, Digits(), context=("pin",))
    month = Recognizer(
        "m", "M", "(?i)[a-z]{3,9} [0-9]{1,2}, [0-9]{4}", 0.1, Digits(), context=("born",)
    )
    label = Recognizer(
        "l", "L", "[0-9](?:[ -]?[0-9]){5,8}", 0.9, Digits(labels=("desk",)),
        followed_by=" desk\\b", not_after="",
    )  # fmt: skip
    own = ["AB12", "123456", "September 12, 1991", "12-34-56-789"]
    text = "AB12 pin 123456, born September 12, 1991 and 12-34-56-789 desk"
    for before in range(130):
        found = scan("x, " * before + text, number("[A-Z]{2}[0-9]{2}"), weak, month, label)
        assert sorted(found) == sorted(own), before


def test_a_context_word_is_looked_for_near_numbers_of_one_word_with_letters() -> None:
    weak = Recognizer("w", "W", "[A-Z]{0,4}[0-9]{6}", 0.1, Digits(), context=("pin",))
    assert scan("pin ABCD123456, QW123456 X12 123456", weak) == ["ABCD123456", "QW123456", "123456"]
