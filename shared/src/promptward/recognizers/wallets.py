"""Crypto-currency addresses: Bitcoin (Base58Check, Bech32), Ethereum."""

from __future__ import annotations

import hashlib

from promptward.recognizers.model import Literals, Recognizer

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)  # BIP 173


def _is_base58check(value: str) -> bool:
    """Base58Check: four bytes of double SHA-256 after version and hash."""
    number = 0
    for char in value:
        number = number * 58 + _BASE58.index(char)
    if number >= 1 << 200:
        return False
    data = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(data[:21]).digest()).digest()[:4] == data[21:]


def _is_bech32(value: str) -> bool:
    """BIP 173 and BIP 350: the checksum of Bech32 or Bech32m."""
    if value.lower() != value and value.upper() != value:
        return False
    words = [3, 3, 0, 2, 3]  # "bc" expanded
    words += [_BECH32.index(char) for char in value.lower()[3:]]
    check = 1
    for word in words:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ word
        for bit, term in enumerate(_GENERATOR):
            check ^= term if top >> bit & 1 else 0
    return check in (1, 0x2BC830A3)


def _is_hex_address(value: str) -> bool:
    return len(set(value[2:].lower())) > 4  # not the zero address and its like


CRYPTO = (
    Recognizer(
        id="bitcoin_base58",
        entity="CRYPTO",
        pattern="[13][1-9A-HJ-NP-Za-km-z]{25,34}",
        score=1.0,
        anchor=Literals(("1", "3"), after="[1-9A-HJ-NP-Za-km-z]{25}"),
        validate=_is_base58check,
    ),
    Recognizer(
        id="bitcoin_bech32",
        entity="CRYPTO",
        pattern="bc1[02-9ac-hj-np-z]{11,71}",
        score=1.0,
        anchor=Literals(("bc1",)),
        validate=_is_bech32,
    ),
    Recognizer(
        id="ethereum",
        entity="CRYPTO",
        pattern="0x[0-9a-fA-F]{40}",
        score=0.7,
        anchor=Literals(("0x",)),
        validate=_is_hex_address,
    ),
)
