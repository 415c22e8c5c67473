"""Shapes: what the beginnings of numbers look like, and where one may stand."""

from __future__ import annotations

import random

import pytest

from promptward.recognizers import CATALOGUE, Digits
from promptward.recognizers.shapes import DEEPEST, ShapeGate, shape_of, shapes
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


def test_shape_of() -> None:
    assert shape_of("0 Aß-9é中") == "0 Aa-da中"
    assert shape_of("70") == "1d"


def test_places_and_what_fits_there() -> None:
    gate = ShapeGate(
        {"a": frozenset({"1d-"}), "b": frozenset({"1d", "(1d"}), "c": frozenset({"A1d"})}
    )
    text = "12-3 45 (67 x89 C10 -20- 3"
    found = [(text[at:], things) for at, things in gate.places(text, 0, len(text))]
    assert found == [
        ("12-3 45 (67 x89 C10 -20- 3", ("b", "a")),
        ("45 (67 x89 C10 -20- 3", ("b",)),
        ("(67 x89 C10 -20- 3", ("b",)),
        ("67 x89 C10 -20- 3", ("b",)),
        ("C10 -20- 3", ("c",)),
        ("20- 3", ("b", "a")),
    ]
    assert list(gate.places(text, 5, 7)) == [(5, ("b",))]
    assert list(ShapeGate({}).places(text, 0, 9)) == []


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
    gate = ShapeGate({spec.id: made})  # type: ignore[attr-defined]
    for seed in range(100):
        text = " " + matching_text(pattern, random.Random(seed))
        assert 1 in [at for at, _ in gate.places(text, 0, 1 + DEEPEST)], text
