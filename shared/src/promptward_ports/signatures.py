"""JWS signature verification with PyJWT's algorithms and `cryptography`.

Whether a key may be used with an algorithm is the core's decision (`promptward.auth.jose`); it is
asked here again, because a port must be safe by itself.

Invariants: methods never suspend, so the same object serves blocking and asyncio hosts (an RS256
verification takes about 30 µs, far below what a thread hand-over costs); public keys are parsed
once and kept in a bounded cache, secrets never are.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from jwt.algorithms import (
    Algorithm,
    ECAlgorithm,
    HMACAlgorithm,
    OKPAlgorithm,
    RSAAlgorithm,
    RSAPSSAlgorithm,
)
from jwt.exceptions import InvalidKeyError

from promptward.auth.jose import base64url, key_fits
from promptward.errors import PortError
from promptward.ports import Jwk

_ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "PS256": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256),
    "ES256": ECAlgorithm(ECAlgorithm.SHA256),
    "EdDSA": OKPAlgorithm(),
    "HS256": HMACAlgorithm(HMACAlgorithm.SHA256),
}
_PUBLIC_PARAMETERS = ("kty", "crv", "n", "e", "x", "y")
_PARSED_KEYS = 256  # every key of dozens of issuers, a few KB each


class CryptographyVerifier:
    """`promptward.ports.SignatureVerifier` for CPython."""

    __slots__ = ()

    async def verify(self, alg: str, key: Jwk, signing_input: bytes, signature: bytes) -> bool:
        """Whether `signature` is valid (RFC 7518). A key unfit for `alg` is False.

        Raises:
            PortError: the local crypto library does not support the algorithm (FIPS builds).
        """
        if not key_fits(alg, key):
            return False
        try:
            return bool(_ALGORITHMS[alg].verify(signing_input, _load(alg, key), signature))
        except (InvalidKeyError, ValueError):
            return False  # a point off the curve, an even modulus: no key at all
        except UnsupportedAlgorithm as error:
            raise PortError("signature_verifier", f"{alg} is not supported here") from error


def _load(alg: str, key: Jwk) -> Any:
    if alg == "HS256":
        return base64url(str(key["k"]))
    return _parse(alg, tuple((n, str(key[n])) for n in _PUBLIC_PARAMETERS if n in key))


@lru_cache(maxsize=_PARSED_KEYS)
def _parse(alg: str, parameters: tuple[tuple[str, str], ...]) -> Any:
    """A key object of `cryptography`; only public parameters get here."""
    return _ALGORITHMS[alg].from_jwk(dict(parameters))
