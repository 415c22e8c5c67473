"""JWK Sets: which of the keys that an issuer publishes may be used.

Pure parsing, shared by every `KeySource`, so that all gateways trust the same keys.

Source: RFC 7517 section 5.
"""

from __future__ import annotations

from typing import Final

from promptward import jsonstrict
from promptward.auth.jose import ALGORITHMS, key_fits
from promptward.auth.jwt_issuer import PRIVATE_PARAMETERS
from promptward.errors import ExchangeError, PortError
from promptward.exchange import JSON
from promptward.ports import Jwk

PORT: Final = "key_source"
# Microsoft's and Google's key sets are below 20 KiB; certificate chains in x5c make the largest
MAX_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 256
_LIMITS: Final = jsonstrict.JsonLimits(MAX_BYTES, max_depth=16, max_items=20_000)


def parse_jwks(body: bytes) -> tuple[Jwk, ...]:
    """The usable keys of a JWK Set; others are left out, as RFC 7517 section 5 asks.

    Raises:
        PortError: the body is no JWK Set.
    """
    try:
        keys = jsonstrict.parse_object(body, _LIMITS).get("keys")
    except ExchangeError as error:
        raise PortError(PORT, f"the key set is not one strict JSON object: {error.code}") from None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise PortError(PORT, f"the key set has no list of at most {MAX_KEYS} keys")
    return tuple(key for key in keys if isinstance(key, dict) and _is_usable(key))


def _is_usable(key: dict[str, JSON]) -> bool:
    """A public key that fits some algorithm; a published secret or private key proves nothing."""
    if key.get("kty") == "oct" or not PRIVATE_PARAMETERS.isdisjoint(key):
        return False
    return any(key_fits(alg, key) for alg in ALGORITHMS)
