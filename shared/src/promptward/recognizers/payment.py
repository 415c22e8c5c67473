"""Payment: cards and IBAN."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from promptward.recognizers.checksums import all_same, alnum_of, digits_of, luhn, mod97
from promptward.recognizers.cues import REFERENCES
from promptward.recognizers.model import Digits, Recognizer

_Range = tuple[str, str, tuple[int, ...]]
# (first prefix, last prefix, lengths): ISO/IEC 7812 issuer ranges as the networks publish them.
# Ranges of the large networks: a number in them that passes Luhn is a card.
_MAJOR = (
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),  # Mastercard, 2-series
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("6011", "6011", (16, 19)),  # Discover
    ("644", "659", (16, 19)),
    ("3528", "3589", (16, 17, 18, 19)),  # JCB
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("300", "305", (14, 16)),  # Diners Club
    ("3095", "3095", (14, 16)),
    ("36", "36", (14,)),
    ("38", "39", (14, 16)),
    ("2200", "2204", (16,)),  # Mir
    ("60", "60", (16,)),  # RuPay
    ("81", "82", (16,)),
    ("508", "508", (16,)),
    ("6062", "6062", (16,)),  # Hipercard
    ("979", "979", (16,)),  # Troy
)
# Ranges so wide or lengths so common that only Luhn and a word nearby make it a card.
_MINOR = (
    ("2131", "2131", (15,)),  # JCB, old
    ("1800", "1800", (15,)),
    ("35", "35", (16,)),
    ("50", "50", tuple(range(12, 20))),  # Maestro
    ("56", "58", tuple(range(12, 20))),
    ("6304", "6304", tuple(range(12, 20))),
    ("67", "67", tuple(range(12, 20))),
)


# Between groups; only single blanks and hyphens need no word nearby.
_GAP = "(?: {1,2}|[.\\x{a0}-])"
_SIXTEEN = f"[1-9][0-9]{{3}}{_GAP}[0-9]{{4}}{_GAP}[0-9]{{4}}{_GAP}[0-9]{{1,4}}"
_SURE = 0.9


def _by_first_digit(ranges: Sequence[_Range]) -> Mapping[str, tuple[_Range, ...]]:
    return {
        digit: tuple(r for r in ranges if r[0][0] <= digit <= r[1][0]) for digit in "0123456789"
    }


_MAJOR_BY_DIGIT, _MINOR_BY_DIGIT = _by_first_digit(_MAJOR), _by_first_digit(_MINOR)


def _in_ranges(digits: str, by_digit: Mapping[str, tuple[_Range, ...]]) -> bool:
    size = len(digits)
    for low, high, lengths in by_digit[digits[0]]:
        if low <= digits[: len(low)] <= high and size in lengths:
            return True
    return False


def _card(value: str) -> bool | float:
    digits = digits_of(value)
    if not luhn(digits) or all_same(digits):
        return False
    if _in_ranges(digits, _MAJOR_BY_DIGIT):
        # (a table has columns of four digits too, with more or other characters between them)
        return 0.4 if "." in value or "  " in value else _SURE
    return 0.4 if _in_ranges(digits, _MINOR_BY_DIGIT) else False


_CARD_WORDS = (
    "card", "cc", "credit", "debit", "visa", "mastercard", "amex", "maestro", "pan", "pay",
    "charge", "kredit", "karte", "carte", "tarjeta", "cartão", "carta", "kart", "карт", "信用卡",
    "卡号", "银行卡", "カード", "카드", "कार्ड", "بطاقة",
)  # fmt: skip

CREDIT_CARD = (
    Recognizer(
        id="payment_card",
        entity="CREDIT_CARD",
        pattern=(
            "[1-9][0-9]{11,18}"
            f"|{_SIXTEEN}"
            f"|3[0-9]{{3}}{_GAP}[0-9]{{6}}{_GAP}[0-9]{{4,5}}"
            f"|4[0-9]{{3}}(?:{_GAP}[0-9]{{3}}){{3}}"
        ),
        score=0.9,
        anchor=Digits(),
        validate=_card,
        context=_CARD_WORDS,
        context_score=0.95,
        denial=REFERENCES,
        not_before="[0-9A-Za-z_.]",
        not_after=r"[0-9A-Za-z_]|[.,-][0-9]",
    ),
    Recognizer(
        # Apart from the others: a security code or a date may follow one of sixteen digits.
        id="payment_card_long",
        entity="CREDIT_CARD",
        pattern=f"{_SIXTEEN}{_GAP}[0-9]{{1,3}}",
        score=_SURE,
        anchor=Digits(),
        validate=_card,
        context=_CARD_WORDS,
        context_score=0.95,
        denial=REFERENCES,
        not_before="[0-9A-Za-z_.]",
        not_after=r"[0-9A-Za-z_]|[.,-][0-9]",
    ),
)

# SWIFT IBAN Registry (release 98): length by country.
_IBAN_LENGTHS = {
    15: "NO",
    16: "BE",
    18: "DK|FI|FO|GL|NL|SD",
    19: "MK|SI",
    20: "AT|BA|EE|KZ|LT|LU|MN|XK",
    21: "CH|HR|LI|LV",
    22: "BG|BH|CR|DE|GB|GE|IE|ME|RS|VA",
    23: "AE|GI|IL|IQ|OM|SO|TL",
    24: "AD|CZ|ES|MD|PK|RO|SA|SE|SK|TN|VG",
    25: "LY|PT|ST",
    26: "IS|TR",
    27: "BI|DJ|FR|GR|IT|MC|SM",
    28: "AL|AZ|BY|CY|DO|GT|HN|HU|LB|NI|PL|SV",
    29: "BR|EG|PS|QA|UA",
    30: "JO|KW|MU|YE",
    31: "MT|SC",
    32: "LC",
    33: "RU",
}
# Characters before the account digits: "RO 49 AAAA 1B"
_IBAN_LEAD = 13
_FIVE_DIGITS = re.compile("[0-9](?:[ \xa0-]?[0-9]){4}")
_IBAN = "|".join(
    f"(?:{countries})[0-9]{{2}}(?:[ \\x{{a0}}-]?[A-Z0-9]){{{length - 4}}}"
    for length, countries in _IBAN_LENGTHS.items()
)


def _iban(value: str) -> bool:
    """ISO 13616: the first four characters move to the end, MOD 97-10."""
    # The anchor: no country's account numbers have fewer than five digits in a row.
    row = _FIVE_DIGITS.search(value, 2)
    if row is None or row.start() > _IBAN_LEAD:
        return False
    compact = alnum_of(value)
    return mod97(compact[4:] + compact[:4])


IBAN_CODE = (
    Recognizer(
        id="iban",
        entity="IBAN_CODE",
        pattern=f"(?i){_IBAN}",
        score=1.0,
        anchor=Digits(),
        validate=_iban,
    ),
    Recognizer(
        id="iban_apart",  # "DE 89 3704 ...", capitals only: "no 12" is an English word
        entity="IBAN_CODE",
        pattern="|".join(
            f"(?:{countries})[ \\x{{a0}}][0-9]{{2}}(?:[ \\x{{a0}}]?[A-Z0-9]){{{length - 4}}}"
            for length, countries in _IBAN_LENGTHS.items()
        ),
        score=0.95,
        anchor=Digits(),
        validate=_iban,
    ),
)
