"""Medical: record numbers, DEA and NPI numbers of US prescribers."""

from __future__ import annotations

from promptward.recognizers.checksums import luhn
from promptward.recognizers.identity import register_number


def _is_dea(value: str) -> bool:
    """21 CFR 1301; check: d1+d3+d5 plus twice d2+d4+d6, last digit."""
    d = [int(char) for char in value[2:]]
    return (d[0] + d[2] + d[4] + 2 * (d[1] + d[3] + d[5])) % 10 == d[6]


def _is_npi(digits: str) -> bool:
    """CMS: Luhn with the prefix 80840."""
    return luhn("80840" + digits)


MEDICAL = (
    register_number(
        "MEDICAL_RECORD_NUMBER", "(?:[A-Z]{1,3}-?)?[0-9]{5,12}", None,
        context=("mrn", "medical record", "patient id", "patient no", "patient number", "chart no",
                 "hospital no", "hospital number", "krankenakte", "dossier médical", "病历号"),
    ),
    register_number(
        "MEDICAL_LICENSE", "[ABCDEFGHJKLMPRSTUX][A-Z9][0-9]{7}", _is_dea,
        score=0.55, context=("dea", "prescri", "medical licen"),
    ),
    register_number(
        "US_NPI", "[12][0-9]{9}", _is_npi,
        context=("npi", "national provider"),
    ),
)  # fmt: skip
