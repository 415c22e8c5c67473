"""United States: social security, taxpayer, passport, driving licence numbers."""

from __future__ import annotations

from promptward.recognizers.checksums import digits_of
from promptward.recognizers.cues import REFERENCES
from promptward.recognizers.identity import register_number
from promptward.recognizers.model import Digits, Recognizer


def _is_ssn(value: str) -> bool:
    """SSA: no area 000, 666 or 9xx, no group 00, no serial 0000."""
    digits = digits_of(value)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _is_itin(digits: str) -> bool:
    """IRS: 9xx, and the groups that are assigned."""
    group = int(digits[3:5])
    return 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99


def _is_licence(value: str) -> bool:
    """State formats differ too much for more than this: enough digits, not all the same."""
    digits = digits_of(value)
    return 5 <= len(digits) <= 14 and len(set(digits)) > 2


_SSN_WORDS = ("ssn", "social security", "ss#", "ss #", "social sec", "taxpayer", "tin")

US_SSN = (
    Recognizer(
        id="us_ssn",
        entity="US_SSN",
        pattern="[0-8][0-9]{2}-[0-9]{2}-[0-9]{4}",
        score=0.75,
        anchor=Digits(),
        validate=_is_ssn,
        context=_SSN_WORDS,
        context_score=0.95,
        denial=REFERENCES,
        not_before="[0-9A-Za-z_.-]",
        not_after="[0-9A-Za-z_]|[.-][0-9]",
    ),
    Recognizer(
        id="us_ssn_loose",
        entity="US_SSN",
        pattern="[0-8][0-9]{2}(?:[ .][0-9]{2}[ .][0-9]{4}|[0-9]{6})",
        score=0.2,
        anchor=Digits(),
        validate=_is_ssn,
        context=_SSN_WORDS,
        denial=REFERENCES,
        not_before="[0-9A-Za-z_.-]",
        not_after="[0-9A-Za-z_]|[.-][0-9]",
    ),
)

US_IDENTITY = (
    register_number(
        "US_ITIN", "9[0-9]{2}-[0-9]{2}-[0-9]{4}", _is_itin,
        score=0.55, context=("itin", "individual taxpayer", "taxpayer", "tax id", "tin"),
    ),
    register_number(
        "US_ITIN", "9[0-9]{2} ?[0-9]{2} ?[0-9]{4}", _is_itin, variant="loose",
        context=("itin", "individual taxpayer"),
    ),
    register_number(
        "US_PASSPORT", "[A-Z][0-9]{8}|[0-9]{9}", None,
        context=("passport",),
    ),
    register_number(
        "US_DRIVER_LICENSE",
        "[A-Z]{0,2}[0-9]{5,14}|[A-Z][0-9]{3,5}(?:[- ][0-9]{1,5}){2,4}"
        "|[0-9]{2,3}(?:[- ][0-9]{2,4}){2}",
        _is_licence,
        context=("driver's lic", "driver lic", "drivers lic", "driving lic", "driver’s lic",
                 "dl number", "dl#", "dl no", "dl:", "license no", "licence no", "license number",
                 "licence number", "license #", "licence #", "führerschein", "permis de conduire",
                 "patente di guida", "carnet de conducir", "prawo jazdy", "rijbewijs"),
    ),
)  # fmt: skip
