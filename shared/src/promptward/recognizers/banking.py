"""Bank identifiers besides IBAN: BIC, US routing and account numbers, VAT numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from promptward.recognizers.checksums import all_same, alnum_of, luhn, mod11_10, weighted
from promptward.recognizers.identity import register_number
from promptward.recognizers.model import Literals, Recognizer

# ISO 3166-1 alpha-2 codes with banks in the SWIFT directory, and XK (Kosovo).
_CODES = (
    "AD AE AF AG AI AL AM AO AR AT AU AW AZ BA BB BD BE BF BG BH BI BJ BM BN BO BR BS BT BW BY BZ "
    "CA CD CF CG CH CI CL CM CN CO CR CU CV CW CY CZ DE DJ DK DM DO DZ EC EE EG ER ES ET FI FJ FO "
    "FR GA GB GD GE GG GH GI GL GM GN GQ GR GT GW GY HK HN HR HT HU ID IE IL IM IN IQ IR IS IT JE "
    "JM JO JP KE KG KH KM KN KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MG MK ML MM "
    "MN MO MR MT MU MV MW MX MY MZ NA NC NE NG NI NL NO NP NZ OM PA PE PF PG PH PK PL PS PT PY QA "
    "RO RS RU RW SA SC SD SE SG SI SK SL SM SN SO SR SV SY SZ TD TG TH TJ TL TM TN TR TT TZ UA UG "
    "US UY UZ VA VC VE VG VN VU WS XK YE ZA ZM ZW"
)
_COUNTRIES = frozenset(_CODES.split())


def _is_bic(value: str) -> bool:
    """ISO 9362: institution, country, location, optional branch."""
    return value[4:6] in _COUNTRIES


def _is_routing(digits: str) -> bool:
    """ABA: weights 3 7 1, and the Federal Reserve prefixes."""
    prefix = int(digits[:2])
    known = prefix <= 12 or 21 <= prefix <= 32 or 61 <= prefix <= 72 or prefix == 80
    return known and weighted(digits, (3, 7, 1) * 3) % 10 == 0 and not all_same(digits)


def _is_account(digits: str) -> bool:
    return len(set(digits)) > 2


def _polish(body: str) -> bool:
    return weighted(body, (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11 == int(body[9])


def _austrian(body: str) -> bool:
    total = sum(sum(divmod(int(d) * (1 + place % 2), 10)) for place, d in enumerate(body[1:8]))
    return (96 - total) % 10 == int(body[8])


# Checksums by country where the member state publishes one (VIES FAQ, national tax offices).
_VAT_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "AT": _austrian,
    "BE": lambda body: (int(body[:8]) + int(body[8:])) % 97 == 0,
    "DE": mod11_10,
    "DK": lambda body: weighted(body, (2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0,
    "FI": lambda body: weighted(body, (7, 9, 10, 5, 8, 4, 2, 1)) % 11 == 0,
    "FR": lambda body: (
        luhn(body[2:])
        and (not body[:2].isdigit() or int(body[:2]) == (12 + 3 * (int(body[2:]) % 97)) % 97)
    ),
    "HR": mod11_10,
    "IT": luhn,
    "LU": lambda body: int(body[:6]) % 89 == int(body[6:]),
    "PL": _polish,
    "PT": lambda body: -weighted(body, range(9, 1, -1)) % 11 % 10 == int(body[8]),
    "SE": lambda body: luhn(body[:10]),
    "SI": lambda body: -weighted(body, range(8, 1, -1)) % 11 % 10 == int(body[7]),
}


def _is_vat(value: str) -> bool:
    text = alnum_of(value)
    check = _VAT_CHECKS.get(text[:2])
    return check is None or check(text[2:])


# Structures: European Commission, VIES, "VAT identification number structure".
_VAT = (
    "ATU[0-9]{8}|BE ?[01][0-9]{9}|BG ?[0-9]{9,10}|CY ?[0-9]{8}[A-Z]|CZ ?[0-9]{8,10}|DE ?[0-9]{9}"
    "|DK ?[0-9]{8}|EE ?[0-9]{9}|EL ?[0-9]{9}|ES ?[A-Z][0-9]{7}[0-9A-Z]|FI ?[0-9]{8}"
    "|FR ?[0-9A-Z]{2} ?[0-9]{9}|GB ?[0-9]{9}|HR ?[0-9]{11}|HU ?[0-9]{8}|IE ?[0-9]{7}[A-W][A-I]?"
    "|IT ?[0-9]{11}|LT ?[0-9]{9}|LU ?[0-9]{8}|LV ?[0-9]{11}|MT ?[0-9]{8}|NL ?[0-9]{9}B[0-9]{2}"
    "|PL ?[0-9]{10}|PT ?[0-9]{9}|RO ?[0-9]{6,10}|SE ?[0-9]{10}01|SI ?[0-9]{8}|SK ?[0-9]{10}"
)

SWIFT_BIC = (
    Recognizer(
        id="swift_bic",
        entity="SWIFT_BIC",
        pattern="[A-Z]{4}[A-Z]{2}[0-9A-Z]{2}(?:[0-9A-Z]{3})?",
        score=0.8,
        # Any shouted word of eight letters looks like a BIC, so one of these must stand before it.
        anchor=Literals(("bic", "swift"), trail=30, fold=True),
        validate=_is_bic,
        preceded_by=(
            "\\b(?:bic|swift)(?:[ /-]?(?:bic|swift|code|no))?[\"' :=.#(]{1,6}(?:is |= ?)?[\"']?"
        ),
    ),
)

BANKING = (
    register_number(
        "ABA_ROUTING_NUMBER", "[0-9]{4}-?[0-9]{4}-?[0-9]", _is_routing,
        context=("routing", "aba", "rtn", "transit"),
    ),
    register_number(
        "US_BANK_NUMBER", "[0-9]{8,17}", _is_account,
        context=("bank account", "account number", "account no", "acct", "account #",
                          "checking account", "savings account"),
    ),
    register_number(
        "EU_VAT", _VAT, _is_vat,
        score=0.4,
        context=("vat", "ust-id", "ustid", "umsatzsteuer", "tva", "iva", "btw", "moms", "nip",
                 "partita", "uid"),
    ),
)  # fmt: skip
