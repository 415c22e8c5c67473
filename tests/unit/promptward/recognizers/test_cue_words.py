"""Context words: stems, short words, scripts without spaces, and the gate."""

from __future__ import annotations

import pytest

from promptward.recognizers.cue_words import CueGate, cue_pattern, has_letters, last_cue

CUES = ("phone", "licen", "cc", "call me", "née", "телефон", "电话", "ss#")


@pytest.mark.parametrize(
    ("window", "end"),
    [
        ("my phone is ", 8),
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
def test_last_cue(window: str, end: int) -> None:
    assert last_cue(cue_pattern(CUES), window) == end


def test_no_cues() -> None:
    assert cue_pattern(()) is None
    assert last_cue(None, "phone") == -1


@pytest.mark.parametrize(
    "window",
    ["my phone is", "licences", "the cc", "call me", "née", "телефоны", "我的电话是", "ss#1"],
)
def test_the_gate_opens_wherever_the_pattern_finds_a_cue(window: str) -> None:
    gate = CueGate({"thing": CUES, "other": ("zebra",)})
    assert last_cue(cue_pattern(CUES), window) >= 0
    assert "thing" in gate.open_for(window.upper())
    assert "other" not in gate.open_for(window)


def test_has_letters() -> None:
    assert has_letters("a 1")
    assert has_letters("电 1")
    assert not has_letters("1 2-3.")
