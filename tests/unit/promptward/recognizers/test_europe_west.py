"""Identity numbers of western and southern Europe."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("DNI 07449456D", "ES_NIF", "07449456D"),
        ("67661553S", "ES_NIF", "67661553S"),
        ("NIE Y6508721B", "ES_NIE", "Y6508721B"),
        ("x-1234567-l then Z2545098S", "ES_NIE", "Z2545098S"),
        ("CGSCVB19C03E705N", "IT_FISCAL_CODE", "CGSCVB19C03E705N"),
        ("261062B18275110", "FR_NIR", "261062B18275110"),
        ("Steuer-ID 36148257950", "DE_TAX_ID", "36148257950"),
        ("Steuer-ID 36 148 257 950", "DE_TAX_ID", "36 148 257 950"),
        ("BSN 827479566", "NL_BSN", "827479566"),
        ("22.08.19-220.19", "BE_NATIONAL_NUMBER", "22.08.19-220.19"),
        ("rijksregisternummer 22081922019", "BE_NATIONAL_NUMBER", "22081922019"),
        ("SVNR 1571 050903", "AT_SVNR", "1571 050903"),
        ("756.5449.9603.37", "CH_AHV", "756.5449.9603.37"),
        ("NIF do contribuinte 213980762", "PT_NIF", "213980762"),
        ("ΑΦΜ 400957947", "GR_AFM", "400957947"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "07449456A",
        "Y6508721C",
        "CGSCVB19C03E705M",
        "Steuer-ID 36148257951",
        "BSN 827479567",
        "827479566",
        "213980762",
        "400957947",
        "756.5449.9603.38",
        "36148257950",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
