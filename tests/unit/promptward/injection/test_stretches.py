"""Stretches of certain characters."""

from __future__ import annotations

import re

import pytest

from promptward.injection.stretches import Stretches, matches_in


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("ab 12345 12", [(3, 8)]),
        ("12345", [(0, 5)]),
        ("123 12345 1234567", [(4, 9), (10, 17)]),
        ("1é2é3 x", [(0, 5)]),  # what is outside ASCII may belong to it
        ("12\ud80034", [(0, 5)]),
        ("12345x12345", [(0, 5), (6, 11)]),
    ],
)
def test_stretches(text: str, expected: list[tuple[int, int]]) -> None:
    assert list(Stretches("0123456789", 5)(text)) == expected


def test_a_boundary_at_the_end_is_that_of_the_text() -> None:
    pattern = re.compile(r"\d{5}\b")
    stretches = Stretches("0123456789", 5)
    assert [m.group() for m in matches_in(pattern, stretches, "12345x 23456")] == ["23456"]
