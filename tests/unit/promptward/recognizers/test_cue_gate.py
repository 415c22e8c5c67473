"""The words around numbers: the same as each recognizer's own look at the words before a place."""

from __future__ import annotations

import random

import pytest

from promptward.recognizers import CATALOGUE, CONTEXT_CHARS, Digits
from promptward.recognizers.cue_gate import CueGate
from promptward.recognizers.cue_words import Window, cues_of

SPECS = [s for specs in CATALOGUE.values() for s in specs if isinstance(s.anchor, Digits)]
WORDS = sorted({word for spec in SPECS for word in (*spec.context, *spec.denial)})
GLUE = (" ", " ", ", ", ": ", "s ", "-", "x", "12 ", "é", "电", "İ", "\n")


def gate() -> CueGate:
    return CueGate(
        {1 << slot: spec.context for slot, spec in enumerate(SPECS)},
        {1 << slot: spec.denial for slot, spec in enumerate(SPECS)},
        {},
    )


def some_words(draw: random.Random) -> str:
    """Cue words, some cut short, and what may stand between them."""
    parts: list[str] = []
    for _ in range(draw.randint(0, 12)):
        word = draw.choice(WORDS)
        word = word[: draw.randint(1, len(word))] if draw.random() < 0.2 else word
        parts += (word.upper() if draw.random() < 0.2 else word, draw.choice(GLUE))
    return "".join(parts)


@pytest.mark.parametrize("seed", range(40))
def test_every_place_of_a_stretch_is_told_what_its_window_holds(seed: int) -> None:
    text = some_words(random.Random(seed))
    first = min(len(text), seed)
    around = gate().around(text, first, len(text))
    for at in range(first, len(text) + 1):
        window = Window(text, at, CONTEXT_CHARS)
        helps, denies, until = around.before(at)
        assert until > at
        for slot, spec in enumerate(SPECS):
            context, denial = cues_of(spec.context), cues_of(spec.denial)
            helpful = context.last_in(window) if context else -1
            assert bool(helps >> slot & 1) is (helpful >= 0), (text[:at], spec.id)
            vetoed = denial is not None and denial.stand_in(window, window.low)
            assert bool(denies >> slot & 1) is vetoed, (text[:at], spec.id)
            if vetoed and helpful >= 0:
                nearer = denial is not None and denial.stand_in(window, max(window.low, helpful))
                assert around.is_denied(at, 1 << slot) is nearer, (text[:at], spec.id)


def test_places_may_be_asked_about_in_any_order() -> None:
    draw = random.Random(3)
    text, made = some_words(draw), gate()
    around = made.around(text, 0, len(text))
    for at in draw.sample(range(len(text) + 1), len(text) + 1):
        helps, denies, until = around.before(at)
        assert (helps, denies) == made.around(text, at, at).before(at)[:2]
        assert around.before(until - 1)[:2] == (helps, denies)


def test_where_and_whose() -> None:
    found = CueGate({1: ("pin", "code"), 2: ("pin code", "cc")}, {2: ("code",)}, {4: ("密码",)})
    assert found.around("a pin code, CC 密码 cci", 0, 21).cues == [
        (2, 5, 1, 0, 0),
        (2, 10, 2, 0, 0),
        (6, 10, 1, 2, 0),
        (12, 14, 2, 0, 0),
        (15, 17, 0, 0, 4),
    ]
    assert found.around("nothing 电 here", 0, 14).cues == []
    assert CueGate({}, {}, {}).around("pin", 0, 3).cues == []


@pytest.mark.parametrize("end", ["", "é"])
def test_a_word_begins_where_no_letter_stands_before_it(end: str) -> None:
    found = CueGate({1: ("pin", "no. 5", "#")}, {}, {})
    text = "pin xpin 1pin _pin PIN# x#pins no. 5" + end
    starts = [cue[0] for cue in found.around(text, 0, len(text)).cues]
    assert starts == [0, 10, 15, 19, 22, 25, 26, 31]


def test_a_stretch_holds_the_words_that_reach_its_places() -> None:
    text = "x pin" + "." * 60 + " pin code"
    found = CueGate({1: ("pin",)}, {}, {2: ("code",)})
    assert [cue[0] for cue in found.around(text, 50, 60).cues] == [2]
    assert [cue[0] for cue in found.around(text, 51, 60).cues] == []
    assert [cue[0] for cue in found.around(text, 60, 69).cues] == [66]
    assert [cue[0] for cue in found.around(text, 60, 69, 5).cues] == [66, 70]
