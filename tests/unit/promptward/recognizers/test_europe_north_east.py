"""Identity numbers of northern and eastern Europe and Turkey."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("810208-1083", "SE_PERSONNUMMER", "810208-1083"),
        ("personnummer 198102081083", "SE_PERSONNUMMER", "198102081083"),
        ("080781-889C", "FI_PERSONAL_IDENTITY_CODE", "080781-889C"),
        ("CPR 070761-4285", "DK_CPR", "070761-4285"),
        ("fødselsnummer 20017927435", "NO_FODSELSNUMMER", "20017927435"),
        ("PESEL 73110865151", "PL_PESEL", "73110865151"),
        ("280228/3605", "CZ_SK_RODNE_CISLO", "280228/3605"),
        ("CNP 2880505124721", "RO_CNP", "2880505124721"),
        ("ЕГН 6302252847", "BG_EGN", "6302252847"),
        ("OIB 77312952921", "HR_OIB", "77312952921"),
        ("EMŠO 0602979501013", "JMBG", "0602979501013"),
        ("isikukood 39805020280", "BALTIC_PERSONAL_CODE", "39805020280"),
        ("112-233-445 95", "RU_SNILS", "112-233-445 95"),
        ("TC kimlik no 92846491722", "TR_TCKN", "92846491722"),
        ("TAJ 111 111 110 and 123 456 788", "HU_TAJ", "123 456 788"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "810208-1084",
        "081381-889C",
        "PESEL 73110865152",
        "73110865151",
        "280228/3606",
        "CNP 2880505124722",
        "6302252847",
        "OIB 77312952922",
        "39805020280",
        "112-233-445 96",
        "92846491722",
        "TAJ 123 456 789",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
