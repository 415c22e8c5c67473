"""Viable prefixes: derived patterns accept exactly the beginnings of matches."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from promptward.recognizers import CATALOGUE, Recognizer, RecognizerSet, recognizers_for
from promptward.recognizers.compiled import CompiledRecognizer
from promptward.recognizers.partial import head_source, prefix_source
from promptward.recognizers.syntax import max_length, parse, to_source
from promptward.testing.patterns import matching_text

LETTERS = st.sampled_from(["a", "b", "[ab]", "[^a]", "\\d", "."])


def patterns() -> st.SearchStrategy[str]:
    def extend(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        repeat = st.sampled_from(["?", "{2}", "{0,2}", "{1,3}", "{1,2}?"])
        return st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
            st.tuples(inner, repeat).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        )

    return st.recursive(LETTERS, extend, max_leaves=6)


def is_prefix(pattern: str, text: str) -> bool:
    return re.match(f"(?:{prefix_source(parse(pattern))})\\Z", text, re.ASCII) is not None


@settings(max_examples=300, deadline=None)
@given(patterns(), st.randoms(use_true_random=False))
def test_every_beginning_of_a_match_is_viable(pattern: str, draw: Random) -> None:
    text = matching_text(pattern, draw)
    for size in range(len(text) + 1):
        assert is_prefix(pattern, text[:size])


@settings(max_examples=300, deadline=None)
@given(patterns(), st.randoms(use_true_random=False))
def test_a_head_accepts_every_beginning(pattern: str, draw: Random) -> None:
    text = matching_text(pattern, draw)
    head = re.compile(head_source(parse(pattern)), re.ASCII)
    assert all(head.match(text[:size]) for size in range(1, len(text) + 1))


@settings(max_examples=300, deadline=None)
@given(patterns(), st.text(alphabet="ab0", max_size=5))
def test_nothing_else_is_viable(pattern: str, text: str) -> None:
    node = parse(pattern)
    assume(max_length(node) <= len(text) + 5)
    exact = re.compile(to_source(node), re.ASCII)
    # Brute force over the three characters that tell the patterns' classes apart.
    texts, viable = {text}, False
    for _ in range(6):
        viable = viable or any(exact.fullmatch(t) for t in texts)
        texts = {t + c for t in texts for c in "ab0"}
    assert is_prefix(pattern, text) == viable


@pytest.mark.parametrize(
    "spec", [s for specs in CATALOGUE.values() for s in specs], ids=lambda s: s.id
)
@settings(max_examples=15, deadline=None)
@given(draw=st.randoms(use_true_random=False), cut=st.integers(0, 10_000))
def test_catalogue_patterns(spec: Recognizer, draw: Random, cut: int) -> None:
    text = matching_text(spec.pattern, draw)
    assert is_prefix(spec.pattern, text[: cut % (len(text) + 1)])


SPECS = recognizers_for(("PII", "SECRET"))
EVERYTHING = RecognizerSet(SPECS, accelerate=False)
COMPILED = [CompiledRecognizer(spec) for spec in SPECS]
PIECES = st.one_of(
    st.builds(
        matching_text,
        st.sampled_from([spec.pattern for spec in SPECS]),
        st.randoms(use_true_random=False),
    ),
    st.text(alphabet="0123456789 -.:/+()@ab_AEkIs\n中é=\"'", max_size=20),
    st.sampled_from(["-----BEGIN RSA PRIVATE KEY-----\n" + "QUJD" * 200, "born on May ", "tel. "]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=5).map(" ".join), st.integers(0), st.integers(0, 700))
def test_held_is_what_any_single_recognizer_would_hold(text: str, cut: int, back: int) -> None:
    text = text[: cut % (len(text) + 1)]
    start = max(0, len(text) - back)
    held = EVERYTHING.hold_from(text, start)
    places = range(start, len(text))
    alone = (at for at in places if any(c.partial.match(text, at) for c in COMPILED))
    assert held == next(alone, len(text))
