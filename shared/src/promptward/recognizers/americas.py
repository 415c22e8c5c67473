"""Canada, Brazil, Mexico, Argentina, Chile: identity and tax numbers."""

from __future__ import annotations

from promptward.recognizers.checksums import luhn, weighted
from promptward.recognizers.identity import ALONE, register_number


def _is_sin(digits: str) -> bool:
    """ESDC: Luhn; numbers that begin with 0 or 8 are not issued."""
    return digits[0] not in "08" and luhn(digits) and len(set(digits)) > 1


def _mod11(digits: str, weights: tuple[int, ...]) -> int:
    rest = weighted(digits, weights) % 11
    return 0 if rest < 2 else 11 - rest


def _is_cpf(digits: str) -> bool:
    """Receita Federal: two check digits modulo 11."""
    return (
        len(set(digits)) > 1
        and _mod11(digits, tuple(range(10, 1, -1))) == int(digits[9])
        and _mod11(digits, tuple(range(11, 1, -1))) == int(digits[10])
    )


_CNPJ = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)


def _is_cnpj(digits: str) -> bool:
    return (
        len(set(digits)) > 1
        and _mod11(digits, _CNPJ[1:]) == int(digits[12])
        and _mod11(digits, _CNPJ) == int(digits[13])
    )


_CURP = "0123456789ABCDEFGHIJKLMN\u00d1OPQRSTUVWXYZ"  # RENAPO's alphabet has Ñ


def _is_curp(value: str) -> bool:
    """RENAPO: weights 18..2 over the places of the characters, modulo 10."""
    total = sum(_CURP.index(char) * (18 - place) for place, char in enumerate(value[:17]))
    return -total % 10 == int(value[17])


def _is_cuit(digits: str) -> bool:
    """AFIP: weights 5432765432 modulo 11."""
    check = -weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return min(check, 9) == int(digits[10])  # 10 is written as 9


def _is_rut(value: str) -> bool:
    """Chile: weights 2..7 from the right, modulo 11; K is ten."""
    body = value[:-1]
    total = sum(int(d) * (place % 6 + 2) for place, d in enumerate(reversed(body)))
    return "0K987654321"[total % 11] == value[-1]


AMERICAS = (
    register_number(
        "CA_SIN", "[1-79][0-9]{2}[ -]?[0-9]{3}[ -]?[0-9]{3}", _is_sin,
        context=("sin", "social insurance", "assurance sociale", "nas"),
    ),
    register_number(
        "BR_CPF", "[0-9]{3}\\.[0-9]{3}\\.[0-9]{3}-[0-9]{2}", _is_cpf,
        score=0.9, context=("cpf",),
    ),
    register_number(
        "BR_CPF", "[0-9]{11}", _is_cpf, variant="plain", score=0.4, context=("cpf",),
    ),
    register_number(
        "BR_CNPJ", "[0-9]{2}\\.[0-9]{3}\\.[0-9]{3}/[0-9]{4}-[0-9]{2}", _is_cnpj,
        score=0.9, context=("cnpj",),
    ),
    register_number(
        "BR_CNPJ", "[0-9]{14}", _is_cnpj, variant="plain", score=0.4, context=("cnpj",),
    ),
    register_number(
        "MX_CURP",
        "[A-Z][AEIOUX][A-Z]{2}[0-9]{6}[HMX][A-Z]{2}[B-DF-HJ-NP-TV-Z]{3}[0-9A-Z][0-9]",
        _is_curp,
        score=0.9, context=("curp",),
    ),
    register_number(
        "AR_CUIT", "(?:2[0347]|3[034])-[0-9]{8}-[0-9]", _is_cuit,
        score=0.8, context=("cuit", "cuil"),
    ),
    register_number(
        "CL_RUT", "[1-9][0-9]?\\.[0-9]{3}\\.[0-9]{3}-[0-9Kk]", _is_rut,
        score=0.8, context=("rut", "run"),
    ),
    register_number(
        "CL_RUT", "[1-9][0-9]{6,7}-[0-9Kk]", _is_rut, variant="plain",
        score=ALONE - 0.2, context=("rut", "run"),
    ),
)  # fmt: skip
