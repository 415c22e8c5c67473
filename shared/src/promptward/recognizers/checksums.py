"""Published check-digit algorithms that several recognizers share.

Each takes plain digits (or letters where said) and returns whether the check holds. Sources are
named at each function. Written from the published algorithms: python-stdnum is LGPL and would
make this Apache-2.0 core depend on a copyleft library for some twenty lines of arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

_ASCII = bytes(range(0x80))
_NOT_DIGITS = bytes(code for code in _ASCII if not chr(code).isdigit())
_NOT_ALNUM = bytes(code for code in _ASCII if not chr(code).isalnum())


def digits_of(text: str) -> str:
    """The ASCII digits of `text`."""
    return text.encode("ascii", "ignore").translate(None, _NOT_DIGITS).decode()


def alnum_of(text: str) -> str:
    """The ASCII letters and digits of `text`, upper-case."""
    return text.encode("ascii", "ignore").translate(None, _NOT_ALNUM).upper().decode()


# A digit -> the digit that is the sum of the digits of its double.
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B."""
    row = digits.encode()
    total = sum(row[-1::-2]) + sum(row[-2::-2].translate(_DOUBLED))
    return (total - 0x30 * len(row)) % 10 == 0


# (with the digits: what a table lacks costs `translate` an exception)
_VALUES = {code: chr(code) for code in range(0x30, 0x3A)} | {
    code: str(code - 0x41 + 10) for code in range(0x41, 0x5B)
}


def mod97(text: str) -> bool:
    """ISO 7064 MOD 97-10 over digits and upper-case letters (A = 10), remainder 1."""
    return int(text.translate(_VALUES)) % 97 == 1


def weighted(digits: str, weights: Sequence[int]) -> int:
    """The sum of digit times weight, place by place."""
    return sum((ord(char) - 48) * weight for char, weight in zip(digits, weights, strict=False))


# Verhoeff, *Error Detecting Decimal Codes* (1969): dihedral group D5 and its permutation.
_VERHOEFF_D = tuple(
    tuple(map(int, row))
    for row in (
        "0123456789",
        "1234067895",
        "2340178956",
        "3401289567",
        "4012395678",
        "5987604321",
        "6598710432",
        "7659821043",
        "8765932104",
        "9876543210",
    )
)
_VERHOEFF_P = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)
# Place -> check so far -> ASCII code of the digit there -> the next check.
_VERHOEFF = tuple(
    tuple(bytes(0x30) + bytes(products[int(image)] for image in images) for products in _VERHOEFF_D)
    for images in _VERHOEFF_P
)


def verhoeff(digits: str) -> bool:
    """Verhoeff's dihedral check (Aadhaar)."""
    check = 0
    for table, code in zip(cycle(_VERHOEFF), reversed(digits.encode()), strict=False):
        check = table[check][code]
    return check == 0


def mod11_10(digits: str) -> bool:
    """ISO 7064 MOD 11,10 (German tax id, Croatian OIB)."""
    check = 10
    for char in digits[:-1]:
        check = (check + ord(char) - 48) % 10 or 10
        check = check * 2 % 11
    return (check + ord(digits[-1]) - 48) % 10 == 1


def all_same(text: str) -> bool:
    """Whether every character is the same: a placeholder, not a number of anybody."""
    return bool(text) and text.count(text[0]) == len(text)
