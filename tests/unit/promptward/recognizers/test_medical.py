"""Medical numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("MRN 00482913", "MEDICAL_RECORD_NUMBER", "00482913"),
        ("patient id: AB-482913", "MEDICAL_RECORD_NUMBER", "AB-482913"),
        ("DEA AB1234563", "MEDICAL_LICENSE", "AB1234563"),
        ("NPI 1234567893", "US_NPI", "1234567893"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "00482913",
        "DEA AB1234564",
        "NPI 1234567894",
        "1234567893",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
