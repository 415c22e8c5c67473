"""Northern and eastern Europe and Turkey: personal identity numbers.

SE, FI, DK, NO, PL, CZ and SK, RO, BG, HR, HU, the former Yugoslavia, EE and LT, RU, TR.
"""

from __future__ import annotations

from promptward.recognizers.checksums import luhn, mod11_10, weighted
from promptward.recognizers.identity import ALONE, is_day, register_number


def _is_personnummer(digits: str) -> bool:
    """Skatteverket SKV 704: Luhn over ten digits; coordination numbers add 60 to the day."""
    ten = digits[-10:]
    return is_day(int(ten[2:4]), int(ten[4:6]) % 60) and luhn(ten)


def _is_hetu(value: str) -> bool:
    """DVV: the number modulo 31 picks the last character."""
    number = value[:6] + value[-4:-1]
    return (
        is_day(int(value[2:4]), int(value[:2]))
        and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(number) % 31] == value[-1]
    )


def _is_cpr(digits: str) -> bool:
    """CPR-kontoret: the date only; numbers since 2007 carry no check digit."""
    return is_day(int(digits[2:4]), int(digits[:2]))


def _is_fodselsnummer(digits: str) -> bool:
    """Skatteetaten: two check digits modulo 11; D numbers add 4 to the first digit."""
    if not is_day(int(digits[2:4]) % 40, int(digits[:2]) % 40):
        return False
    return (
        weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
        and weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    )


def _is_pesel(digits: str) -> bool:
    """Ustawa o ewidencji ludności: weights 1 3 7 9; the month carries the century."""
    check = -weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10
    return is_day(int(digits[2:4]) % 20, int(digits[4:6])) and check == int(digits[10])


def _is_rodne_cislo(digits: str) -> bool:
    """Zákon 133/2000: modulo 11, 10 counts as 0; women add 50 to the month, overflow adds 20."""
    month = int(digits[2:4]) % 50
    check = int(digits[:9]) % 11 % 10
    return is_day(month % 20 or month, int(digits[4:6])) and check == int(digits[9])


def _is_cnp(digits: str) -> bool:
    """Romanian CNP: weights 279146358279 modulo 11, 10 counts as 1."""
    check = weighted(digits, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return is_day(int(digits[3:5]), int(digits[5:7])) and (check % 10 + check // 10) == int(
        digits[12]
    )


def _is_egn(digits: str) -> bool:
    """Bulgarian EGN; the month carries the century (plus 20 or 40)."""
    check = weighted(digits, (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10
    return is_day(int(digits[2:4]) % 20, int(digits[4:6])) and check == int(digits[9])


def _is_jmbg(digits: str) -> bool:
    """JMBG and EMŠO: weights 7..2 twice modulo 11."""
    check = 11 - weighted(digits, (7, 6, 5, 4, 3, 2) * 2) % 11
    return is_day(int(digits[2:4]), int(digits[:2])) and (0 if check > 9 else check) == int(
        digits[12]
    )


def _is_taj(digits: str) -> bool:
    """Hungarian TAJ: weights 3 and 7."""
    return weighted(digits, (3, 7) * 4) % 10 == int(digits[8]) and len(set(digits)) > 1


def _is_baltic(digits: str) -> bool:
    """Estonian and Lithuanian code: two rounds of weights modulo 11."""
    check = weighted(digits, (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:
        check = weighted(digits, (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return is_day(int(digits[3:5]), int(digits[5:7])) and check == int(digits[10])


def _is_snils(digits: str) -> bool:
    """Pension Fund of Russia: weights 9..1 modulo 101, 100 counts as 0."""
    return weighted(digits, range(9, 0, -1)) % 101 % 100 == int(digits[9:]) and digits[:3] > "001"


def _is_tckn(digits: str) -> bool:
    """Turkish identity number: both check digits (NVİ)."""
    odd, even = (sum(map(int, digits[first:9:2])) for first in (0, 1))
    tenth = (odd * 7 - even) % 10
    return tenth == int(digits[9]) and sum(map(int, digits[:10])) % 10 == int(digits[10])


EUROPE_NORTH_EAST = (
    register_number(
        "SE_PERSONNUMMER", "(?:19|20)?[0-9]{6}[-+][0-9]{4}", _is_personnummer,
        score=ALONE, context=("personnummer", "pers.nr", "samordningsnummer"),
    ),
    register_number(
        "SE_PERSONNUMMER", "(?:19|20)?[0-9]{10}", _is_personnummer, variant="plain",
        context=("personnummer", "pers.nr", "samordningsnummer"),
    ),
    register_number(
        "FI_PERSONAL_IDENTITY_CODE", "[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]", _is_hetu,
        score=0.8, context=("hetu", "henkilötunnus", "personbeteckning"),
    ),
    register_number(
        "DK_CPR", "[0-9]{6}[- ]?[0-9]{4}", _is_cpr,
        context=("cpr", "personnummer"),
    ),
    register_number(
        "NO_FODSELSNUMMER", "[0-9]{6} ?[0-9]{5}", _is_fodselsnummer,
        score=0.4, context=("fødselsnummer", "personnummer", "fnr", "fodselsnummer"),
    ),
    register_number(
        "PL_PESEL", "[0-9]{11}", _is_pesel, score=0.4, context=("pesel",),
    ),
    register_number(
        "CZ_SK_RODNE_CISLO", "[0-9]{6}/[0-9]{4}", _is_rodne_cislo,
        score=ALONE, context=("rodné číslo", "rodne cislo", "r.č", "rč"),
    ),
    register_number(
        "RO_CNP", "[1-9][0-9]{12}", _is_cnp,
        score=0.4, context=("cnp", "cod numeric personal"),
    ),
    register_number(
        "BG_EGN", "[0-9]{10}", _is_egn, context=("егн", "egn"),
    ),
    register_number(
        "HR_OIB", "[0-9]{11}", mod11_10, context=("oib", "osobni identifikacijski"),
    ),
    register_number(
        "JMBG", "[0-9]{13}", _is_jmbg,
        score=0.4, context=("jmbg", "јмбг", "emšo", "emso"),
    ),
    register_number(
        "HU_TAJ", "[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{3}", _is_taj, context=("taj",),
    ),
    register_number(
        "BALTIC_PERSONAL_CODE", "[1-8][0-9]{10}", _is_baltic,
        context=("isikukood", "asmens kod", "personal code", "personal id"),
    ),
    register_number(
        "RU_SNILS", "[0-9]{3}-[0-9]{3}-[0-9]{3}[ -][0-9]{2}", _is_snils,
        score=0.8, context=("снилс", "snils"),
    ),
    register_number(
        "RU_SNILS", "[0-9]{11}", _is_snils, variant="plain", context=("снилс", "snils"),
    ),
    register_number(
        "TR_TCKN", "[1-9][0-9]{10}", _is_tckn,
        score=0.45, context=("tc kimlik", "t.c. kimlik", "kimlik", "tckn", "tc no"),
    ),
)  # fmt: skip
