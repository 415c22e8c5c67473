"""Context words: stems, short words, scripts without spaces, windows."""

from __future__ import annotations

import pytest

from promptward.recognizers.cue_words import Cues, Window, cues_of, folded

CUES = ("phone", "licen", "cc", "call me", "née", "телефон", "电话", "ss#")


def last(words: tuple[str, ...], text: str, size: int = 48) -> int:
    """Where the last cue before the end of `text` ends in its window."""
    return Cues(words).last_in(Window(text, len(text), size))


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("my phone is ", 8),
        ("My PHONE is ", 8),
        ("telephone ", -1),
        ("phones: ", 5),
        ("driver's licence ", 14),
        ("cc ", 2),
        ("ccache ", -1),
        ("please call me at ", 14),
        ("née le ", 3),
        ("мой телефон ", 11),
        ("我的电话是", 4),
        ("ss# ", 3),
        ("phone, then cc ", 14),
        ("", -1),
    ],
)
def test_the_last_cue(text: str, end: int) -> None:
    assert last(CUES, text) == end


def test_a_window_begins_inside_a_word_without_making_it_a_cue() -> None:
    assert last(CUES, "microphone 1", size=7) == -1
    assert last(CUES, "micro phone 1", size=7) == 6  # counted from the character before it


def test_a_cue_at_or_after_a_place() -> None:
    window = Window("phone, card ", 12, 48)
    assert Cues(("phone",)).stand_in(window, 0)
    assert not Cues(("phone",)).stand_in(window, 1)
    assert Cues(("card",)).stand_in(window, 5)


def test_no_cues() -> None:
    assert cues_of(()) is None
    assert cues_of(("a", "b")) is cues_of(("a", "b"))


@pytest.mark.parametrize("text", ["ABC", "İstanbul KEY", "ẞ Σ", ""])
def test_folding_keeps_every_place(text: str) -> None:
    assert len(folded(text)) == len(text)
    assert folded(text).replace("İ", "") == text.lower().replace("i\u0307", "").replace("İ", "")
    assert folded("x KEY")[2:] == "key"
