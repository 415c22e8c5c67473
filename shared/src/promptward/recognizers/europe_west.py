"""Western and southern Europe: identity and tax numbers of persons.

ES NIF and NIE, IT codice fiscale, FR NIR, DE tax id, NL BSN, BE national register number, AT social
insurance number, CH AHV number, PT NIF, GR AFM.
"""

from __future__ import annotations

from promptward.recognizers.checksums import mod11_10, weighted
from promptward.recognizers.identity import ALONE, is_day, register_number
from promptward.recognizers.model import Digits, Recognizer

_NIF = "TRWAGMYFPDXBNJZSQVHLCKE"  # Real Decreto 338/1990: letter by the number modulo 23


def _is_nif(value: str) -> bool:
    return _NIF[int(value[:8]) % 23] == value[8]


def _is_nie(value: str) -> bool:
    return _NIF[int(str("XYZ".index(value[0])) + value[1:8]) % 23] == value[8]


# D.M. 23/12/1976 (Agenzia delle Entrate): values of characters at odd places, 0-9 then A-Z.
_ODD_DIGITS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
_ODD_LETTERS = (2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_ODD = (*_ODD_DIGITS, *_ODD_DIGITS, *_ODD_LETTERS)


def _is_codice_fiscale(value: str) -> bool:
    total = 0
    for place, char in enumerate(value[:15]):
        index = int(char, 36)
        total += _ODD[index] if place % 2 == 0 else index if index < 10 else index - 10
    return chr(65 + total % 26) == value[15]


def _is_nir(value: str) -> bool:
    """INSEE: key 97 - n mod 97; Corsica's 2A and 2B count as 19 and 18."""
    number = value[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(value[13:])


def _is_german_tax_id(digits: str) -> bool:
    """BZSt: MOD 11,10, and one digit of the first ten two or three times, the others once."""
    counts = sorted(digits[:10].count(d) for d in set(digits[:10]))
    return counts[-1] in (2, 3) and counts[:-1].count(1) == len(counts) - 1 and mod11_10(digits)


def _is_bsn(digits: str) -> bool:
    """Elfproef: weights 9..2 and -1."""
    return weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and len(set(digits)) > 1


def _is_belgian(digits: str) -> bool:
    """Rijksregister: 97 - n mod 97, with a leading 2 for births from 2000 on."""
    check = int(digits[9:])
    month, day = int(digits[2:4]), int(digits[4:6])
    if not is_day(month % 20 or 1, day or 1):
        return False
    return any(97 - int(lead + digits[:9]) % 97 == check for lead in ("", "2"))


def _is_svnr(digits: str) -> bool:
    """Austrian social insurance: the fourth digit checks the others."""
    body = digits[:3] + digits[4:]
    check = weighted(body, (3, 7, 9, 5, 8, 4, 2, 1, 6)) % 11
    return check == int(digits[3]) and is_day(int(digits[6:8]), int(digits[4:6]))


def ean13(digits: str) -> bool:
    """GS1 check digit of thirteen digits."""
    return weighted(digits, (1, 3) * 6 + (1,)) % 10 == 0


def _is_portuguese_nif(digits: str) -> bool:
    check = 11 - weighted(digits[:8], range(9, 1, -1)) % 11
    return (0 if check > 9 else check) == int(digits[8])


def _is_afm(digits: str) -> bool:
    total = sum(int(d) << (8 - place) for place, d in enumerate(digits[:8]))
    return total % 11 % 10 == int(digits[8]) and len(set(digits)) > 1


_CODED = "[0-9LMNPQRSTUV]"  # digits, or their letters when two people collide (omocodia)

EUROPE_WEST = (
    register_number(
        "ES_NIF", "[0-9]{8}[ -]?[A-HJ-NP-TV-Z]", _is_nif,
        score=ALONE, context=("dni", "nif", "documento nacional", "identificación fiscal"),
    ),
    register_number(
        "ES_NIE", "[XYZ][ -]?[0-9]{7}[ -]?[A-HJ-NP-TV-Z]", _is_nie,
        score=ALONE, context=("nie", "extranjero"),
    ),
    Recognizer(
        id="it_fiscal_code",
        entity="IT_FISCAL_CODE",
        pattern=f"[A-Z]{{6}}{_CODED}{{2}}[A-EHLMPRST]{_CODED}{{2}}[A-Z][0-9]{{3}}[A-Z]",
        score=0.9,
        anchor=Digits(),
        validate=_is_codice_fiscale,
    ),
    register_number(
        "FR_NIR",
        "[1-478] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
        _is_nir,
        score=ALONE,
        context=("nir", "sécurité sociale", "sécu", "insee", "carte vitale", "social security"),
    ),
    register_number(
        "DE_TAX_ID", "[1-9][0-9](?:[ ]?[0-9]{3}){3}", _is_german_tax_id,
        score=0.4,
        context=("steuer-id", "steuerid", "steueridentifikation", "idnr", "steuernummer", "tax id",
                 "steuerliche"),
    ),
    register_number(
        "NL_BSN", "[0-9]{9}|[0-9]{4}[. ][0-9]{2}[. ][0-9]{3}", _is_bsn,
        context=("bsn", "burgerservice", "sofi"),
    ),
    register_number(
        "BE_NATIONAL_NUMBER", "[0-9]{2}\\.[0-9]{2}\\.[0-9]{2}-[0-9]{3}\\.[0-9]{2}", _is_belgian,
        score=0.9, context=("rijksregister", "registre national", "national number"),
    ),
    register_number(
        "BE_NATIONAL_NUMBER", "[0-9]{11}", _is_belgian, variant="plain",
        context=("rijksregister", "registre national", "national number", "insz", "niss"),
    ),
    register_number(
        "AT_SVNR", "[0-9]{4}[ ]?[0-9]{6}", _is_svnr,
        context=("sozialversicherung", "svnr", "sv-nummer", "versicherungsnummer"),
    ),
    register_number(
        "CH_AHV", "756[.][0-9]{4}[.][0-9]{4}[.][0-9]{2}|756[0-9]{10}", ean13,
        score=0.8, context=("ahv", "avs", "sozialversicherung"),
    ),
    register_number(
        "PT_NIF", "[1-35689][0-9]{2} ?[0-9]{3} ?[0-9]{3}", _is_portuguese_nif,
        context=("nif", "contribuinte", "número fiscal"),
    ),
    register_number(
        "GR_AFM", "[0-9]{9}", _is_afm, context=("αφμ", "afm", "α.φ.μ"),
    ),
)  # fmt: skip
