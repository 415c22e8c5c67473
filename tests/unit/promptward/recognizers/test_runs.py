"""Long runs of token characters: what patterns guarantee, and what texts reach."""

from __future__ import annotations

import random

import pytest

from promptward.recognizers import CATALOGUE
from promptward.recognizers.runs import LEVELS, guaranteed_run, longest_run
from promptward.recognizers.syntax import parse
from promptward.testing.patterns import matching_text


@pytest.mark.parametrize(
    ("pattern", "size"),
    [
        ("sk-[0-9a-z]{20,30}", 23),
        ("[0-9]{8,10}:AA[0-9A-Z]{33}", 35),
        ("ab?c{2}", 3),
        ("(?:abc|de)f", 3),
        ("(?:abc|d e)f", 2),
        ("(?: ab){2,4}cd", 4),
        ("(?:a b){2}", 2),
        ("(?: abc)?d", 1),
        ("a\\b\\.b", 3),
        (".{20}", 0),
        ("[a-z ]{20}", 0),
    ],
)
def test_what_every_match_has(pattern: str, size: int) -> None:
    assert guaranteed_run(parse(pattern)) == size


@pytest.mark.parametrize(
    "spec", [s for specs in CATALOGUE.values() for s in specs], ids=lambda s: s.id
)
def test_no_match_has_less(spec: object) -> None:
    pattern = spec.pattern  # type: ignore[attr-defined]
    run = guaranteed_run(parse(pattern))
    for seed in range(20):
        text = "é " * 100 + matching_text(pattern, random.Random(seed))
        assert longest_run(text) >= max((level for level in LEVELS if level <= run), default=0)


@pytest.mark.parametrize("before", [0, 200, 65_530, 70_000])
@pytest.mark.parametrize(("size", "level"), [(13, 0), (14, 14), (19, 14), (20, 20), (50, 20)])
def test_levels(before: int, size: int, level: int) -> None:
    text = "é, " * (before // 3) + "\ud800" + "a-Z_0.~"[:7] * 8
    assert longest_run(text[: len(text) - 56 + size] + " x" * 100) == level


def test_a_short_text_may_have_any_run_that_it_has_room_for() -> None:
    assert longest_run("x y") == 0
    assert longest_run("x y" * 5) == LEVELS[0]
    assert longest_run("x y" * 10) == LEVELS[-1]
    assert longest_run("x y" * 11) == 0
    assert longest_run("x y" * 11 + "a" * LEVELS[0]) == LEVELS[0]
