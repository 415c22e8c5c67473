"""United Kingdom and Ireland: NHS number, National Insurance number, passport, PPS number."""

from __future__ import annotations

from promptward.recognizers.checksums import weighted
from promptward.recognizers.identity import ALONE, register_number


def _is_nhs(digits: str) -> bool:
    """NHS Data Dictionary: modulus 11 with weights 10..2."""
    check = 11 - weighted(digits[:9], range(10, 1, -1)) % 11
    return check != 10 and check % 11 == int(digits[9]) and len(set(digits)) > 1


def _is_nino(value: str) -> bool:
    """HMRC manual NIM39110: prefixes that are never issued."""
    return value[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")


def _is_ppsn(value: str) -> bool:
    """Irish Revenue: modulus 23, a second letter counts nine times (2013)."""
    total = weighted(value[:7], range(8, 1, -1))
    if len(value) == 9 and value[8] != "W":
        total += 9 * (ord(value[8]) - 64)
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == value[7]


UNITED_KINGDOM = (
    register_number(
        "UK_NHS", "[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}", _is_nhs,
        context=("nhs", "national health", "patient"),
    ),
    register_number(
        "UK_NINO",
        "[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]",
        _is_nino,
        score=ALONE,
        context=("national insurance", "nino", "ni number", "ni no", "insurance number"),
    ),
    register_number(
        "UK_PASSPORT", "[0-9]{9}", None, context=("british passport", "uk passport"),
    ),
    register_number(
        "IE_PPSN", "[0-9]{7}[A-W][A-IW]?", _is_ppsn,
        score=0.4, context=("pps", "personal public service", "ppsn"),
    ),
)  # fmt: skip
