"""Numbers of Asia, the Pacific, Israel and South Africa."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("2933 5461 1540", "IN_AADHAAR", "2933 5461 1540"),
        ("Aadhaar 293354611540", "IN_AADHAAR", "293354611540"),
        ("ABCPE1234F", "IN_PAN", "ABCPE1234F"),
        ("27ACUPI5107K1Z8", "IN_GSTIN", "27ACUPI5107K1Z8"),
        ("TFN 543 082 652", "AU_TFN", "543 082 652"),
        ("ABN 10 646 558 199", "AU_ABN", "10 646 558 199"),
        ("ACN 724545591", "AU_ACN", "724545591"),
        ("Medicare 2123 45670 1", "AU_MEDICARE", "2123 45670 1"),
        ("S1234567D", "SG_NRIC_FIN", "S1234567D"),
        ("マイナンバー 322139035973", "JP_MY_NUMBER", "322139035973"),
        ("주민등록번호 820701-2409184", "KR_RRN", "820701-2409184"),
        ("110101199303049943", "CN_RESIDENT_ID", "110101199303049943"),
        ("8-4065-42394-23-2", "TH_NATIONAL_ID", "8-4065-42394-23-2"),
        ("IRD 127-551-748", "NZ_IRD", "127-551-748"),
        ("Teudat zehut 359610391", "IL_ID", "359610391"),
        ("South African ID 5002113194147", "ZA_ID", "5002113194147"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "2933 5461 1541",
        "293354611540",
        "ABCXE1234F",
        "27ACUPI5107K1Z9",
        "543082652",
        "10646558199",
        "724545591",
        "S1234567A",
        "322139035973",
        "821301-2409184",
        "110101199303049944",
        "8-4065-42394-23-3",
        "127551748",
        "359610391",
        "5002113194147",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
