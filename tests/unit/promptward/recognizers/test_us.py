"""United States numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("My SSN is 078-05-1120", "US_SSN", "078-05-1120"),
        ("188-41-4132 filed late", "US_SSN", "188-41-4132"),
        ("ssn 188414132", "US_SSN", "188414132"),
        ("social security number 188 41 4132", "US_SSN", "188 41 4132"),
        ("ITIN 912-70-1234", "US_ITIN", "912-70-1234"),
        ("itin: 912701234", "US_ITIN", "912701234"),
        ("passport number A12345678", "US_PASSPORT", "A12345678"),
        ("driver license: C2750-97772-27273", "US_DRIVER_LICENSE", "C2750-97772-27273"),
        ("DL: 04-318-8819", "US_DRIVER_LICENSE", "04-318-8819"),
        ("driver's license D1234567", "US_DRIVER_LICENSE", "D1234567"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "case 511-15-7402",
        "ticket 188-41-4132",
        "000-12-3456",
        "666-12-3456",
        "123-00-4567",
        "123-45-0000",
        "188414132",
        "912701234",
        "A12345678",
        "D1234567",
        "188-41-41321",
        "2188-41-4132",
        "912-20-1234",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
