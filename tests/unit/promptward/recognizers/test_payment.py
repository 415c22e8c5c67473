"""Payment cards and IBAN."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Finder = Callable[[str], list[tuple[str, str]]]


@pytest.mark.parametrize(
    ("text", "entity", "value"),
    [
        ("4111 1111 1111 1111 12/26 123", "CREDIT_CARD", "4111 1111 1111 1111"),
        ("4111\xa01111\xa01111\xa01111", "CREDIT_CARD", "4111\xa01111\xa01111\xa01111"),
        ("card 4111  1111  1111  1111", "CREDIT_CARD", "4111  1111  1111  1111"),
        ("Visa 4111.1111.1111.1111", "CREDIT_CARD", "4111.1111.1111.1111"),
        ("Visa: 4222 222 222 222", "CREDIT_CARD", "4222 222 222 222"),
        ("4000 0000 0000 0000 006", "CREDIT_CARD", "4000 0000 0000 0000 006"),
        ("IBAN DE 89 3704 0044 0532 0130 00", "IBAN_CODE", "DE 89 3704 0044 0532 0130 00"),
        ("card 4111111111111111", "CREDIT_CARD", "4111111111111111"),
        ("4111 1111 1111 1111 exp 04/27", "CREDIT_CARD", "4111 1111 1111 1111"),
        ("5555-5555-5555-4444", "CREDIT_CARD", "5555-5555-5555-4444"),
        ("pay 3782 822463 10005", "CREDIT_CARD", "3782 822463 10005"),
        ("Karte 30569309025904.", "CREDIT_CARD", "30569309025904"),
        ("6011111111111117", "CREDIT_CARD", "6011111111111117"),
        ("my card 6304000000000000", "CREDIT_CARD", "6304000000000000"),
        ("2223003122003222", "CREDIT_CARD", "2223003122003222"),
        ('"pan":"4000056655665556"', "CREDIT_CARD", "4000056655665556"),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN_CODE", "DE89 3704 0044 0532 0130 00"),
        ("gb82west12345698765432", "IBAN_CODE", "gb82west12345698765432"),
        ("to FR1420041010050500013M02606.", "IBAN_CODE", "FR1420041010050500013M02606"),
        ("NO9386011117947", "IBAN_CODE", "NO9386011117947"),
        ("MT84MALT011000012345MTLCAST001S", "IBAN_CODE", "MT84MALT011000012345MTLCAST001S"),
    ],
)
def test_found(find: Finder, text: str, entity: str, value: str) -> None:
    assert (entity, value) in find(text)


@pytest.mark.parametrize(
    "text",
    [
        "columns 4111  1111  1111  1111",
        "4111.1111.1111.1111",
        "4111 111111 111111",
        "order #4111111111111111 delayed",
        "order 5555555555554444",
        "4111111111111112",
        "1234567812345670",
        "6304000000000000",
        "DE89370400440532013001",
        "IBAN DE89 3704 0044 0532",
        "timestamp 1671910040549",
        "0000000000000000",
        "x4111111111111111",
        "4111111111111111abc",
        "sha256:b8bc5795a6f89d5567f7d4b4fd221ae8a8c2afb75b629df330235954fda552fc",
        "tracking 1Z999AA10123456784",
        "0.4111111111111111",
    ],
)
def test_left_alone(find: Finder, text: str) -> None:
    assert find(text) == []
