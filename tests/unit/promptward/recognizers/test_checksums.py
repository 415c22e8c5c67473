"""Check digits, each on a published example and on every single-digit error of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from promptward.recognizers.checksums import (
    all_same,
    alnum_of,
    digits_of,
    luhn,
    mod11_10,
    mod97,
    verhoeff,
    weighted,
)


@pytest.mark.parametrize(
    ("check", "number"),
    [
        (luhn, "79927398713"),  # the example of ISO/IEC 7812's Luhn formula
        (luhn, "4111111111111111"),
        (verhoeff, "2363"),  # the example of Verhoeff's paper
        (verhoeff, "123451"),
        (mod11_10, "36574261809"),  # the example of the German tax authority
        (mod97, "370400440532013000131489"),  # DE89 3704 0044 0532 0130 00, rearranged
    ],
)
def test_a_valid_number_and_its_errors(check: Callable[[str], bool], number: str) -> None:
    assert check(number)
    for place, digit in enumerate(number):
        for other in set("0123456789") - {digit}:
            assert not check(number[:place] + other + number[place + 1 :])


def test_verhoeff_finds_swapped_neighbours() -> None:
    number = "293354611540"
    assert verhoeff(number)
    for place in range(len(number) - 1):
        a, b = number[place], number[place + 1]
        if a != b:
            assert not verhoeff(number[:place] + b + a + number[place + 2 :])


def test_helpers() -> None:
    assert digits_of("+1 (415)\xa0555-x") == "1415555"
    assert alnum_of("gb 82-west") == "GB82WEST"
    assert weighted("123", (3, 2, 1)) == 10
    assert all_same("111")
    assert not all_same("112")
