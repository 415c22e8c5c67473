"""Asia, the Pacific, the Middle East and Africa: identity and tax numbers of persons.

IN Aadhaar, PAN and GSTIN, AU TFN, ABN, ACN and Medicare, SG NRIC/FIN, JP My Number, KR RRN,
CN resident identity card, TH national id, NZ IRD, IL identity number, ZA identity number.
"""

from __future__ import annotations

from promptward.recognizers.checksums import luhn, verhoeff, weighted
from promptward.recognizers.identity import ALONE, is_day, register_number


def _is_aadhaar(digits: str) -> bool:
    """UIDAI: Verhoeff; palindromes are not issued."""
    return verhoeff(digits) and digits != digits[::-1]


def _is_gstin(value: str) -> bool:
    """GSTN: modulus 36, factors 1 and 2, sums of the base-36 digits."""
    total = 0
    for place, char in enumerate(value[:14]):
        total += sum(divmod(int(char, 36) * (place % 2 + 1), 36))
    return -total % 36 == int(value[14], 36)


def _is_tfn(digits: str) -> bool:
    """ATO: weights 1 4 3 7 5 8 6 9 10 modulo 11."""
    return weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0 and len(set(digits)) > 1


def _is_abn(digits: str) -> bool:
    """ABR: one less in the first digit, weights 10 1 3 … 19 modulo 89."""
    total = weighted(digits, (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)) - 10
    return total % 89 == 0


def _is_acn(digits: str) -> bool:
    """ASIC: weights 8..1 modulo 10."""
    return -weighted(digits, range(8, 0, -1)) % 10 == int(digits[8])


def _is_medicare(digits: str) -> bool:
    """Services Australia: weights 1 3 7 9 modulo 10 over eight digits."""
    return weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(digits[8])


_NRIC = {"S": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "M": "XWUTRQPNJLK"}


def _is_nric(value: str) -> bool:
    """ICA: weights 2 7 6 5 4 3 2 modulo 11; T and G add 4, M adds 3."""
    kind = {"T": "S", "G": "F"}.get(value[0], value[0])
    offset = {"T": 4, "G": 4, "M": 3}.get(value[0], 0)
    return _NRIC[kind][(weighted(value[1:8], (2, 7, 6, 5, 4, 3, 2)) + offset) % 11] == value[8]


def _is_my_number(digits: str) -> bool:
    """Ordinance 85 of 2014 of the Japanese Ministry of Internal Affairs: modulus 11."""
    rest = weighted(digits, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if rest <= 1 else 11 - rest) == int(digits[11])


def _is_rrn(digits: str) -> bool:
    """Korean RRN: the date; numbers since October 2020 have no check digit."""
    return is_day(int(digits[2:4]), int(digits[4:6])) and digits[6] in "12345678"


def _is_resident_id(value: str) -> bool:
    """GB 11643-1999: ISO 7064 MOD 11-2."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return (
        is_day(int(value[10:12]), int(value[12:14]))
        and "10X98765432"[weighted(value[:17], weights) % 11] == value[17]
    )


def _is_thai(digits: str) -> bool:
    check = (11 - weighted(digits, range(13, 1, -1)) % 11) % 10
    return check == int(digits[12])


def _is_ird(digits: str) -> bool:
    """New Zealand IRD: two rounds of weights modulo 11."""
    padded = digits.zfill(9)
    if not 10_000_000 < int(digits) < 150_000_000:
        return False
    for weights in ((3, 2, 7, 6, 5, 4, 3, 2), (7, 4, 3, 2, 5, 2, 7, 6)):
        check = -weighted(padded, weights) % 11
        if check != 10:
            return check == int(padded[8])
    return False


def _is_south_african(digits: str) -> bool:
    return is_day(int(digits[2:4]), int(digits[4:6])) and digits[10] in "012" and luhn(digits)


ASIA_PACIFIC = (
    register_number(
        "IN_AADHAAR", "[2-9][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}", _is_aadhaar,
        score=0.55, context=("aadhaar", "aadhar", "uidai", "आधार"),
    ),
    register_number(
        "IN_AADHAAR", "[2-9][0-9]{11}", _is_aadhaar, variant="plain",
        context=("aadhaar", "aadhar", "uidai", "आधार"),
    ),
    register_number(
        "IN_PAN", "[A-Z]{3}[ABCFGHJLPT][A-Z][0-9]{4}[A-Z]", None,
        score=ALONE, context=("pan", "permanent account", "income tax"),
    ),
    register_number(
        "IN_GSTIN", "[0-3][0-9][A-Z]{5}[0-9]{4}[A-Z][1-9A-Z]Z[0-9A-Z]", _is_gstin,
        score=0.9, context=("gst",),
    ),
    register_number(
        "AU_TFN", "[0-9]{3} ?[0-9]{3} ?[0-9]{3}", _is_tfn,
        context=("tfn", "tax file"),
    ),
    register_number(
        "AU_ABN", "[1-9][0-9] ?[0-9]{3} ?[0-9]{3} ?[0-9]{3}", _is_abn,
        context=("abn", "australian business"),
    ),
    register_number(
        "AU_ACN", "[0-9]{3} ?[0-9]{3} ?[0-9]{3}", _is_acn,
        context=("acn", "australian company"),
    ),
    register_number(
        "AU_MEDICARE", "[2-6][0-9]{3}[ -]?[0-9]{5}[ -]?[0-9](?:[ /-]?[1-9])?", _is_medicare,
        context=("medicare",),
    ),
    register_number(
        "SG_NRIC_FIN", "[STFGM][0-9]{7}[A-Z]", _is_nric,
        score=0.7, context=("nric", "fin", "singapore"),
    ),
    register_number(
        "JP_MY_NUMBER", "[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}", _is_my_number,
        context=("my number", "マイナンバー", "個人番号", "mynumber"),
    ),
    register_number(
        "KR_RRN", "[0-9]{6}-[1-8][0-9]{6}", _is_rrn,
        score=ALONE, context=("rrn", "주민등록번호", "주민번호", "resident registration"),
    ),
    register_number(
        "CN_RESIDENT_ID", "[1-9][0-9]{5}(?:19|20)[0-9]{9}[0-9Xx]", _is_resident_id,
        score=0.8, context=("身份证", "resident id", "居民"),
    ),
    register_number(
        "TH_NATIONAL_ID", "[1-8]-[0-9]{4}-[0-9]{5}-[0-9]{2}-[0-9]", _is_thai,
        score=0.8, context=("เลขประจำตัวประชาชน", "บัตรประชาชน", "thai id"),
    ),
    register_number(
        "NZ_IRD", "[0-9]{2,3}-?[0-9]{3}-?[0-9]{3}", _is_ird,
        context=("ird", "inland revenue"),
    ),
    register_number(
        "IL_ID", "[0-9]{9}", luhn,
        context=("teudat zehut", "israeli id", "תעודת זהות", "ת.ז"),
    ),
    register_number(
        "ZA_ID", "[0-9]{6} ?[0-9]{4} ?[0-9]{3}", _is_south_african,
        score=0.4, context=("south african id", "rsa id", "id number", "identity number"),
    ),
)  # fmt: skip
