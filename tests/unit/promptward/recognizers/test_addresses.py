"""Street addresses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("ship to 8487 Smith Plains Suite 123", "STREET_ADDRESS", "8487 Smith Plains Suite 123"),
        ("lives at 221B Baker Street, London", "STREET_ADDRESS", "221B Baker Street"),
        ("to 1600 Pennsylvania Ave.", "STREET_ADDRESS", "1600 Pennsylvania Ave."),
        ("12 North Park Road Apt 4", "STREET_ADDRESS", "12 North Park Road Apt 4"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "8487 Smith Plains",
        "in 5 easy steps",
        "10 Downing",
        "3 ways to Drive",
        "the Main Street",
        "12 apples Street",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
