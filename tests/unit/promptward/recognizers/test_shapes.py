"""Shapes: what the beginnings of numbers look like, and where one may stand."""

from __future__ import annotations

import random

import pytest

from promptward.recognizers import CATALOGUE, Digits
from promptward.recognizers.shapes import DEEPEST, ShapeGate, outline_of, shapes
from promptward.recognizers.syntax import parse
from promptward.testing.patterns import matching_text


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("[0-9]{3}", {"0dd", "1dd"}),
        ("[1-9][0-9]?", {"1", "1d"}),
        ("[A-Z]{2} ?0[0-9]", {"AA0d", "AA 0d"}),
        ("\\+[1-9](?:[ -]?[0-9]){1,2}", {"+1d", "+1 d", "+1-d"} | {f"+1{a}d{b}d" for a in ("", " ", "-") for b in ("", " ", "-")}),
        ("[0-9]{2}[Aa]", {"0dA", "0da", "1dA", "1da"}),
        ("[0-9]{40}", {"0" + "d" * 11, "1" + "d" * 11}),
        ("5(?:\\b|x)", {"1", "1a"}),
    ],
)  # fmt: skip
def test_shapes(pattern: str, found: set[str]) -> None:
    assert shapes(parse(pattern)) == found


def test_a_class_of_too_many_characters_ends_a_shape() -> None:
    assert shapes(parse("[0-9].[0-9]{9}")) == {"0", "1"}


@pytest.mark.parametrize("pattern", ["[a-z]{3}", "[a-z]{1,20}[0-9]", "(?i)[a-z]{16}[0-9]"])
def test_a_number_has_a_digit_near_its_beginning(pattern: str) -> None:
    with pytest.raises(ValueError, match="digit"):
        shapes(parse(pattern))


def test_outline() -> None:
    assert outline_of("07 Ab_-") == b"01 Aa_-"
    assert outline_of("Éß\xa0中\ud800😀") == b"\xc0\xe0\xa0???"


def test_places_and_what_fits_there() -> None:
    a, b, c, d = 1, 2, 4, 8
    gate = ShapeGate(
        {
            a: frozenset({"1d-"}),
            b: frozenset({"1d", "(1d"}),
            c: frozenset({"A1d"}),
            d: frozenset({"aa0", "aA1d"}),
        }
    )
    text = "12-3 45 (67 x89 C10 é-20- ab0 yB77 3 xab01 aa10"
    found = [
        (text[at:].split(maxsplit=1)[0], bits) for at, bits in gate.places(outline_of(text), 0, 99)
    ]
    assert found == [
        ("12-3", a | b),
        ("45", b),
        ("(67", b),
        ("67", b),
        ("C10", c),
        ("20-", a | b),
        ("ab0", d),
        ("yB77", d),
    ]
    assert {bits for _, bits in found} <= gate.sets
    assert gate.places(outline_of(text), 5, 7) == [(5, b)]
    assert gate.places(outline_of(text), 6, 8) == []
    assert ShapeGate({}).places(outline_of(text), 0, 9) == []


def test_a_number_may_follow_a_letter_beyond_ascii() -> None:
    gate = ShapeGate({1: frozenset({"1d", "A1"})})
    text = "é12 ÉÀ1 中12 e12"
    assert [at for at, _ in gate.places(outline_of(text), 0, 99)] == [1, 5, 9]


@pytest.mark.parametrize(
    "spec",
    [s for specs in CATALOGUE.values() for s in specs if isinstance(s.anchor, Digits)],
    ids=lambda spec: spec.id,
)
def test_every_match_has_one_of_its_shapes(spec: object) -> None:
    pattern = spec.pattern  # type: ignore[attr-defined]
    try:
        made = shapes(parse(pattern))
    except ValueError:
        assert spec.id == "date_of_birth"  # type: ignore[attr-defined]
        return
    gate = ShapeGate({1: made})
    for seed in range(100):
        text = " " + matching_text(pattern, random.Random(seed))
        assert 1 in [at for at, _ in gate.places(outline_of(text), 0, 1 + DEEPEST)], text
