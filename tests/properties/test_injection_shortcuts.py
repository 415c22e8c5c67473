"""The quick ways of the injection detector find exactly what the plain ways find."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptward.exchange import Source
from promptward.injection import spacing
from promptward.injection.decoding import _BLOBS
from promptward.injection.features import telling, windows
from promptward.injection.folding import fold_table, folding, skeleton_table, skeletons
from promptward.injection.keywords import strong_words
from promptward.injection.lexicon import known_words, lexicon
from promptward.injection.marks import Marks
from promptward.injection.model import model
from promptward.injection.origins import identity
from promptward.injection.patterns import PATTERN_RULES, PatternRule
from promptward.injection.respelling import ascii_lower, not_ascii
from promptward.injection.rules import Rule
from promptward.injection.scoring import fired_rules, read_view, windows_of
from promptward.injection.stretches import matches_in
from promptward.injection.views import View, view_of

LONGEST_PHRASE = 8  # words
KEYS = sorted(skeleton_table())
LETTERS = st.sampled_from([chr(code) for code in KEYS]) | st.characters() | st.sampled_from("aI ")
VOCABULARY = [
    "ignore", "all", "previous", "instructions", "system", "prompt", "reveal", "your", "rules",
    "you", "are", "now", "from", "on", "do", "not", "tell", "act", "as", "developer", "mode",
    "password", "send", "to", "never", "refuse", "secret", "above", "new", "|", "river", "table",
]  # fmt: skip


@given(st.text(alphabet=LETTERS, max_size=200))
@settings(max_examples=400, deadline=None)
def test_respelling_is_translate(text: str) -> None:
    for table, respelled in ((fold_table(), folding()), (skeleton_table(), skeletons())):
        assert ascii_lower(respelled(text, not_ascii(text))) == text.translate(table)


def test_respelling_of_many_different_characters_is_translate() -> None:
    text = "".join(map(chr, KEYS)) * 2 + "plain"
    assert ascii_lower(skeletons()(text, not_ascii(text))) == text.translate(skeleton_table())


def view_with(size: int, seed: int, share: float) -> View:
    """A view of `size` words of which `share` mean something."""
    draw = random.Random(seed)
    words = [draw.choice(VOCABULARY) if draw.random() < share else "river" for _ in range(size)]
    return view_of("plain", " ".join(words), identity)


def by_place(fired: tuple[Rule, int]) -> tuple[int, str]:
    rule, at = fired
    return at, rule.id


@pytest.mark.parametrize("size", [0, 1, 159, 160, 161, 200, 281, 1000, 4100])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.9])
def test_windows_side_by_side_read_like_single_windows(size: int, share: float) -> None:
    view = view_with(size, seed=size, share=share)
    marks = Marks(view.words, view.meant)
    for asked in (False, True):
        expected = []
        for window in windows_of(view.words, marks.places):
            found = [(r, window.start + at) for r, at in fired_rules(window.masks, Source.USER)]
            value = model().log_odds(window.words, window.masks, asked=asked or bool(found))
            if found or asked or telling(window.masks):
                expected.append((value, sorted(found, key=by_place)))
        silent = sum(1 for _ in windows(view.words)) > len(expected)
        read = read_view(view, marks, Source.USER, model(), asked=asked)
        told = [(r.log_odds, sorted(r.fired, key=by_place)) for r in read[: len(expected)]]
        assert told == expected
        assert len(read) == len(expected) + silent


def marks_of(words: list[str]) -> set[tuple[int, str]]:
    distinct = frozenset(words)
    speaking = lexicon().speaking(distinct, distinct - known_words())
    return set(lexicon().marks(words, speaking, lexicon().phrases(words, speaking)))


@given(st.lists(st.sampled_from(VOCABULARY), max_size=40))
@settings(max_examples=100, deadline=None)
def test_marks_are_those_of_every_piece(words: list[str]) -> None:
    """What stands in words 3 to 7 stands there in the whole too, and nothing else does."""
    pieces = {
        (begin + at, concept)
        for begin in range(len(words))
        for at, concept in marks_of(words[begin : begin + LONGEST_PHRASE])
    }
    assert marks_of(words) == pieces


PIECES = [
    "QWxsIHRoZSBydWxlcw==", "ABCDEFGH234567", "69676e6f7265", "0x69, 0x67 ", "01101001 ", "105, ",
    "103 ", ".- ", "-.../", "\n", " ", "é", "١٢ ", "x", "=", "the rules",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@settings(max_examples=400, deadline=None)
def test_encodings_are_found_as_by_trying_every_place(text: str) -> None:
    for name, pattern, stretches, _ in _BLOBS:
        found = [match.span() for match in matches_in(pattern, stretches, text)]
        assert found == [match.span() for match in pattern.finditer(text)], name


def literals_of(rule: PatternRule) -> list[str]:
    source = rule.pattern.pattern.pattern if rule.pattern else ""
    return [piece for piece in re.split(r"[^a-z<>|!@:/=. -]+", source) if piece]


@pytest.mark.parametrize("rule", PATTERN_RULES, ids=lambda rule: rule.id)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_patterns_match_first_where_re_does(rule: PatternRule, data: st.DataObject) -> None:
    pieces = st.sampled_from(
        [*literals_of(rule), " ", ". ", "\n", "the ", "====", "!!!!", "x" * 60]
    )
    text = "".join(data.draw(st.lists(pieces, max_size=40)))
    assert rule.pattern
    expected = rule.pattern.pattern.search(text)
    found = rule.pattern.search(text)
    assert (found and found.span()) == (expected and expected.span())


SINGLE = st.sampled_from([*"abcdefgh1", "ab", "the", "é", "?", "\x01", *" -.|\n", "  ", " " * 7])


@given(st.lists(SINGLE, max_size=80).map("".join))
@settings(max_examples=500, deadline=None)
def test_letters_apart_are_found_as_by_trying_every_place(text: str) -> None:
    found = [match.span() for match in spacing._runs(text)]
    assert found == [match.span() for match in spacing._SPACED.finditer(text)]


JOINED = st.sampled_from([*"abpty-._ ", "ig-nore", "p.r.o", "systematic", "é", "--", "\n-"])


@given(st.lists(JOINED, max_size=40).map("".join))
@settings(max_examples=500, deadline=None)
def test_words_with_marks_are_found_as_by_trying_every_place(text: str) -> None:
    ends = spacing._ends_of_keywords()
    every = [match.group() for match in spacing._JOINTS.finditer(text)]
    expected = [word for word in every if word[0] + word[-1] in ends]
    assert [match.group() for match in spacing._jointed(text)] == expected


@given(
    st.lists(st.sampled_from([*sorted(strong_words()), "the", "of", "x", "qz", "1"]), max_size=9)
)
@settings(max_examples=200, deadline=None)
def test_letters_are_cut_at_the_least_cost(words: list[str]) -> None:
    letters = "".join(words)
    known = spacing._pieces_of_words()
    cost = [0]
    for end in range(1, len(letters) + 1):
        ways = [cost[end - 1] + spacing.UNKNOWN_LETTER]
        ways += [cost[at] + spacing.KNOWN_WORD for at in range(end - 1) if letters[at:end] in known]
        cost.append(min(ways))
    parts = spacing.segment(letters)
    assert "".join(parts) == letters
    spent = [
        spacing.KNOWN_WORD if len(p) > 1 and p in known else spacing.UNKNOWN_LETTER * len(p)
        for p in parts
    ]
    assert sum(spent) == cost[-1]


QUIET = ["reveal", "your", "new", "all", "river", "task", "from", "now", "do", "the", "cat", "you"]


@given(st.lists(st.sampled_from(QUIET), max_size=30))
@settings(max_examples=300, deadline=None)
def test_what_is_passed_over_fires_nothing(words: list[str]) -> None:
    view = view_of("plain", " ".join(words), identity)
    marks, looked_at = Marks(view.words, view.meant), Marks(view.words, view.meant)
    looked_at.matter = True
    assert marks.gates == looked_at.gates
    for asked in (False, True):
        read = read_view(view, marks, Source.DOCUMENT, model(), asked=asked)
        assert read == read_view(view, looked_at, Source.DOCUMENT, model(), asked=asked)
