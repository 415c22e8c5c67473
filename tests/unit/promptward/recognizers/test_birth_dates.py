"""Dates of birth."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("DOB: 08-Feb-1916", "DATE_OF_BIRTH", "08-Feb-1916"),
        ("born on Nov. 25, 1941", "DATE_OF_BIRTH", "Nov. 25, 1941"),
        ("生年月日: 1985年3月12日", "DATE_OF_BIRTH", "1985年3月12日"),
        ("DOB 04/05/1981", "DATE_OF_BIRTH", "04/05/1981"),
        ("born on 12 March 1987 in Rome", "DATE_OF_BIRTH", "12 March 1987"),
        ("date of birth: 1990-02-28", "DATE_OF_BIRTH", "1990-02-28"),
        ("birthday is September 3rd, 1975", "DATE_OF_BIRTH", "September 3rd, 1975"),
        ("geboren am 7. Mai 1964", "DATE_OF_BIRTH", "7. Mai 1964"),
        ("née le 1er ou 02/11/1958", "DATE_OF_BIRTH", "02/11/1958"),
        ("出生日期 1988/07/19", "DATE_OF_BIRTH", "1988/07/19"),
        ("Nacido el 5 de junio 1970", "DATE_OF_BIRTH", "5 de junio 1970"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "due 04/05/2025",
        "updated 2024-06-13",
        "on 12 March 1987",
        "born, and the file was created 2020-01-05",
        "DOB 99/99/1981",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
