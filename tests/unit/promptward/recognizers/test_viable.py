"""Where a buffer's end may be the beginning of a match."""

from __future__ import annotations

import pytest

from promptward.recognizers import Anywhere, Recognizer, RecognizerSet


def recognizer(id: str, pattern: str, **more: object) -> Recognizer:  # noqa: A002
    return Recognizer(id, "X", pattern, 0.9, Anywhere(), **more)  # type: ignore[arg-type]


SET = RecognizerSet(
    [
        recognizer("key", "sk-[0-9]{4}"),
        recognizer("long", "<<[a-z ]{1,600}>>", not_before="", not_after=""),
        recognizer("tail", "[0-9]{2}", followed_by=" kg"),
        recognizer("any", "é{2}", not_before="", not_after=""),
    ]
)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("hello", ""),
        ("hello s", "s"),
        ("hello sk-12", "sk-12"),
        ("hello sk-1234", "sk-1234"),  # the next character decides
        ("hello sk-1234.", ""),
        ("hello xsk-", ""),
        ("hello <", "<"),
        ("hello <<" + "a " * 300, "<<" + "a " * 300),
        ("hello <<" + "a " * 301, ""),
        ("12", "12"),
        ("12 k", "12 k"),
        ("12 m", ""),
        ("xé", "é"),
        ("", ""),
    ],
)
def test_hold(text: str, held: str) -> None:
    assert text[SET.hold_from(text, 0) :] == held


def test_start_is_respected() -> None:
    assert SET.hold_from("sk-", 1) == 3
    assert SET.hold_from("sk-", 0) == 0
