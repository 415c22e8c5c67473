"""British and Irish numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("NHS number 943 476 5919", "UK_NHS", "943 476 5919"),
        ("nhs: 2914177763", "UK_NHS", "2914177763"),
        ("NI QQ 12 34 56 C is a sample, AB123456C is not", "UK_NINO", "AB123456C"),
        ("AB 12 34 56 C", "UK_NINO", "AB 12 34 56 C"),
        ("UK passport 123456789", "UK_PASSPORT", "123456789"),
        ("PPS number 1020232DA", "IE_PPSN", "1020232DA"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "943 476 5919",
        "NHS number 943 476 5918",
        "GB123456C",
        "BG123456A",
        "1020232DA",
        "PPS 1020232DB",
        "AB123456CD",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
