"""google-re2 as a gate changes nothing but the time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptward.recognizers import CATALOGUE, RecognizerSet, recognizers_for, user_recognizer
from promptward.recognizers.accelerated import re2_gate
from promptward.recognizers.compiled import CompiledRecognizer
from promptward.recognizers.syntax import parse
from promptward.testing.patterns import matching_text

pytest.importorskip("re2", reason="install google-re2 to test the accelerator")

SPECS = (
    *recognizers_for(("PII", "SECRET")),
    user_recognizer("own", "OWN", "(?i)ref-[a-zé]{3}\\b"),
)
MINIMA = dict.fromkeys(CATALOGUE, 0.05)
FAST = RecognizerSet(SPECS, min_scores=MINIMA)
PURE = RecognizerSet(SPECS, min_scores=MINIMA, accelerate=False)
CUES = [word for spec in SPECS for word in spec.context]
PIECES = st.one_of(
    st.builds(
        lambda spec, draw: matching_text(spec.pattern, draw),
        st.sampled_from(SPECS),
        st.randoms(use_true_random=False),
    ),
    st.sampled_from(CUES).map(lambda word: word + " "),
    st.text(alphabet="0123456789 -.:/+()@ab_AEkIs\n中é=\"'\ud800\x00", max_size=20),
    st.sampled_from(["ref-abc ", "REF-ABC.", "password: aB3dE5fG7hJ9kL1m "]),
)
TEXTS = st.lists(PIECES, min_size=1, max_size=8).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_same_matches(text: str) -> None:
    assert FAST.find(text) == PURE.find(text)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.id)
def test_the_gate_lets_every_match_through(spec: object) -> None:
    compiled = CompiledRecognizer(spec)  # type: ignore[arg-type]
    gate = re2_gate([parse("never-there"), compiled.superset])
    assert gate is not None
    for seed in range(20):
        draw = random.Random(seed)
        text = "x, " + _before(compiled, draw) + matching_text(compiled.spec.pattern, draw)
        text += matching_text(compiled.spec.followed_by, draw)
        assert gate(text + " y") == {1}
    assert gate("nothing here") == frozenset()


def _before(compiled: CompiledRecognizer, draw: random.Random) -> str:
    return matching_text(compiled.spec.preceded_by, draw)


def test_a_lone_surrogate_opens_the_gate() -> None:
    gate = re2_gate([parse("a{3}")])
    assert gate is not None
    assert gate("\ud800") is None


@pytest.mark.parametrize("size", [15, 16, 200, 5000])
def test_texts_of_any_length(size: int) -> None:
    found = FAST.find("ann@example.org".rjust(size))
    assert [m.entity for m in found] == ["EMAIL_ADDRESS"]


def test_an_empty_text() -> None:
    assert FAST.find("") == []
