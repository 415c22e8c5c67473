"""The stream law of the redactor: any cuts, the same output as redacting the whole text."""

from __future__ import annotations

import itertools
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from promptward.operators import Mask, Operator, Pseudonymize, Redact
from promptward.recognizers import CATALOGUE, Match, RecognizerSet, recognizers_for
from promptward.stream.redactor import TextRedactor, redact_text
from promptward.testing.patterns import matching_text

BOUND = 40_000


@cache
def everything() -> RecognizerSet:
    # A low bar lets weak matches count too, so that many more of them overlap.
    return RecognizerSet(
        recognizers_for(("PII", "SECRET")),
        min_scores=dict.fromkeys(CATALOGUE, 0.05),
        accelerate=False,  # the reference; the accelerator has its own test
    )


def operators() -> dict[str, Operator]:
    kinds: list[Operator] = [Redact(), Mask(), Pseudonymize("0badc0ffee")]
    return {entity: kinds[i % 3] for i, entity in enumerate(sorted(CATALOGUE))}


PATTERNS = [spec.pattern for specs in CATALOGUE.values() for spec in specs]
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "QUJDREVGR0g1\n" * 6 + "-----END RSA PRIVATE KEY-----"
REAL = st.sampled_from(
    [
        "anna.meier@example.org",
        "4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 00",
        "+33 1 23 44 72 98",
        "078-05-1120",
        "10.20.30.40",
        "2001:db8::8a2e:370:7334",
        "ghp_0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX",
        "password: hunter2Hunter3x",
        "postgres://app:s3cr3tpw@db.internal:5432/x",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        KEY,
        KEY[:70],
        "call me at 0412 346 047",
        "order 4111111111111111",
    ]
)
GLUE = st.sampled_from(
    ["", " ", ", ", "\n", "-", ".", ":", "/", "x", "0", "@", "+", "(", '"', "电", "ü"]
)
WORDS = st.sampled_from(
    ["call ", "Tel. ", "order ", "the card ", "SSN: ", "secret=", "é ", "version "]
)
NOISE = st.text(alphabet="0123456789 -.:/+()@ab_AEkIs\n中é=\"'", max_size=30)
SHAPED = st.builds(matching_text, st.sampled_from(PATTERNS), st.randoms(use_true_random=False))
PIECE = st.one_of(REAL, WORDS, NOISE, GLUE, SHAPED)
TEXT = st.lists(st.tuples(PIECE, GLUE), min_size=1, max_size=6).map(
    lambda pairs: "".join(piece + glue for piece, glue in pairs)
)


def stream(text: str, cuts: list[int], known: list[Match] | None = None) -> tuple[str, list[Match]]:
    redactor = TextRedactor(everything(), operators(), bound_chars=BOUND, known=known or ())
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    out = [redactor.feed(text[a:b]) for a, b in itertools.pairwise(places)]
    return "".join([*out, redactor.close()]), redactor.matches


@settings(max_examples=150, deadline=None)
@given(TEXT)
def test_one_character_at_a_time_equals_the_whole(text: str) -> None:
    whole = redact_text(text, everything(), operators())
    assert stream(text, list(range(len(text)))) == whole


@settings(max_examples=200, deadline=None)
@given(TEXT, st.lists(st.integers(0, 10_000), max_size=6))
def test_any_cuts_equal_the_whole(text: str, cuts: list[int]) -> None:
    whole = redact_text(text, everything(), operators())
    assert stream(text, cuts) == whole


SPANS = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.integers(1, 30),
        st.sampled_from(["PERSON", "LOCATION", "EMAIL_ADDRESS"]),
        st.sampled_from([0.4, 0.85, 1.0]),
    ),
    min_size=1,
    max_size=6,
)


def known_in(text: str, spans: list[tuple[int, int, str, float]]) -> list[Match]:
    """Matches of an outside detector, overlapping each other and those of patterns."""
    made = []
    for place, length, entity, score in spans:
        start = place % max(1, len(text))
        end = min(len(text), start + length)
        if start < end:
            made.append(Match(entity, start, end, score, "classifier"))
    return sorted(made, key=lambda m: m.start)


@settings(max_examples=200, deadline=None)
@given(TEXT, SPANS, st.lists(st.integers(0, 10_000), max_size=6))
def test_what_others_found_obeys_the_same_law(
    text: str, spans: list[tuple[int, int, str, float]], cuts: list[int]
) -> None:
    known = known_in(text, spans)
    whole = redact_text(text, everything(), operators(), known)
    assert stream(text, cuts, known) == whole
    assert stream(text, list(range(len(text))), known) == whole
    assert all(a.end <= b.start for a, b in itertools.pairwise(whole[1]))
    alone = redact_text(text, RecognizerSet(()), {}, known)[1]
    assert any(m.recognizer == "classifier" for m in alone) is bool(known)


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_gates_change_nothing(text: str) -> None:
    assert everything().find(text) == everything().find_everywhere(text)


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_what_is_found_is_sorted_and_disjoint(text: str) -> None:
    found = everything().find(text)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    assert all(0 <= m.start < m.end <= len(text) and 0.0 < m.score <= 1.0 for m in found)
