"""United States: social security numbers."""

from __future__ import annotations

from promptward.recognizers.checksums import digits_of
from promptward.recognizers.cues import REFERENCES
from promptward.recognizers.model import Digits, Recognizer


def _is_ssn(value: str) -> bool:
    """SSA: no area 000, 666 or 9xx, no group 00, no serial 0000."""
    digits = digits_of(value)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


_SSN_WORDS = ("ssn", "social security", "ss#", "ss #", "social sec", "taxpayer", "tin")

US_SSN = (
    Recognizer(
        id="us_ssn",
        entity="US_SSN",
        pattern="[0-8][0-9]{2}-[0-9]{2}-[0-9]{4}",
        score=0.75,
        anchor=Digits(least=9, lead=0),
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
        anchor=Digits(least=9, lead=0),
        validate=_is_ssn,
        context=_SSN_WORDS,
        denial=REFERENCES,
        not_before="[0-9A-Za-z_.-]",
        not_after="[0-9A-Za-z_]|[.-][0-9]",
    ),
)
