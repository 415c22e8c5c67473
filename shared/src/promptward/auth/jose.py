"""JSON Web Signature in compact form: strict parsing, and which key fits which algorithm.

No signature is computed here: that is the `SignatureVerifier` port's work. All rules that decide
*whether* one may be asked for are here, so that they are the same behind every gateway.

Invariants: a key is used only with the algorithms of its own type (no RSA public key ever becomes
an HMAC secret); header parameters that carry or locate keys (`jwk`, `jku`, `x5c`, `x5u`) are
never read; exactly one text encodes one token (canonical base64url, no padding).

Sources: RFC 7515 (JWS), RFC 7517 (JWK), RFC 7518 (algorithms and minimal key sizes), RFC 8037
(EdDSA), RFC 8725 (JWT best current practice).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from dataclasses import field
from typing import Final

from promptward import jsonstrict
from promptward.auth.failure import AuthCode, AuthFailure
from promptward.errors import ExchangeError
from promptward.exchange import JSON
from promptward.ports import Jwk
from promptward.values import value_object

# Apache and nginx limit a header line to 8 KiB, Envoy all headers to 60 KiB; 16 KiB holds tokens
# with hundreds of group claims
MAX_TOKEN_CHARACTERS: Final = 16 * 1024
MAX_KID_CHARACTERS: Final = 256
# claims nest a few levels (Keycloak's resource_access.<client>.roles is 4)
_JSON_LIMITS: Final = jsonstrict.JsonLimits(MAX_TOKEN_CHARACTERS, max_depth=16, max_items=4096)


@value_object(frozen=True, slots=True)
class Algorithm:
    """What an `alg` value demands of its key and signature.

    Attributes:
        kty: key type (RFC 7518 section 6).
        crv: curve, empty for key types that have none.
        signature_bytes: exact signature length, 0 when the key decides (RSA).
        jwk_algs: values of a JWK's own `alg` that permit this use.
    """

    kty: str
    crv: str = ""
    signature_bytes: int = 0
    jwk_algs: tuple[str, ...] = ()


# `none` is not here and cannot be configured. `Ed25519` is what RFC 9864 calls EdDSA on that curve.
ALGORITHMS: Final[dict[str, Algorithm]] = {
    "RS256": Algorithm("RSA", jwk_algs=("RS256",)),
    "PS256": Algorithm("RSA", jwk_algs=("PS256",)),
    "ES256": Algorithm("EC", "P-256", 64, ("ES256",)),
    "EdDSA": Algorithm("OKP", "Ed25519", 64, ("EdDSA", "Ed25519")),
    "HS256": Algorithm("oct", "", 32, ("HS256",)),
}

# RFC 7518 section 3.3: RSA keys of 2048 bits or larger MUST be used. The upper bounds keep a
# key server from making each verification arbitrarily slow.
_RSA_MODULUS_BITS = range(2048, 8192 + 1)
_RSA_EXPONENT_BITS = range(2, 64 + 1)
# RFC 7518 section 3.2: a key of the hash's size or larger MUST be used
MIN_SECRET_BYTES: Final = 32
_COORDINATE_BYTES: Final = 32  # P-256: RFC 7518 section 6.2.1.2; Ed25519: RFC 8037 section 2


@value_object(frozen=True, slots=True)
class Jws:
    """A parsed, not yet verified token."""

    header: dict[str, JSON]
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parse_compact(token: str) -> Jws | AuthFailure:
    """Split and decode a compact JWS (RFC 7515 section 7.1); nothing is verified yet."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        return _malformed(f"the token is longer than {MAX_TOKEN_CHARACTERS} characters")
    segments = token.split(".")
    if len(segments) == 5:
        return AuthFailure(AuthCode.ENCRYPTED_TOKEN, "encrypted tokens (JWE) are not accepted")
    if len(segments) != 3:
        return _malformed("the token does not have three parts")
    decoded = [base64url(segment) for segment in segments]
    header_bytes, payload, signature = decoded
    if header_bytes is None or payload is None or signature is None:
        return _malformed("a part of the token is not base64url without padding")
    header = parse_object(header_bytes)
    if header is None:
        return _malformed("the token's header is not one strict JSON object")
    signing_input = token[: token.rindex(".")].encode("ascii")
    return Jws(header, payload, signing_input, signature)


def _malformed(message: str) -> AuthFailure:
    return AuthFailure(AuthCode.MALFORMED_TOKEN, message)


def base64url(text: str) -> bytes | None:
    """Decode canonical, unpadded base64url; None for anything else.

    Encoding the result again must give the input: that rejects padding, the `+/` alphabet,
    whitespace, other characters and non-zero trailing bits in one comparison.
    """
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return None
    return data if base64.urlsafe_b64encode(data).rstrip(b"=") == text.encode() else None


def parse_object(data: bytes) -> dict[str, JSON] | None:
    """One strict JSON object (see `jsonstrict`), or None."""
    try:
        return jsonstrict.parse_object(data, _JSON_LIMITS)
    except ExchangeError:
        return None


def fitting_keys(alg: str, keys: Iterable[Jwk]) -> Iterator[Jwk]:
    """Those of `keys` that may verify `alg`, in order."""
    return (key for key in keys if key_fits(alg, key))


def key_fits(alg: str, key: Jwk) -> bool:
    """Whether `key` may verify signatures of `alg`: type, curve, strength and declared purpose."""
    needs = ALGORITHMS.get(alg)
    if needs is None or key.get("kty") != needs.kty or not _purpose_fits(needs, key):
        return False
    if needs.crv and key.get("crv") != needs.crv:
        return False
    return _material_fits(needs.kty, key)


def _purpose_fits(needs: Algorithm, key: Jwk) -> bool:
    """RFC 7517 sections 4.2 to 4.4: `use`, `key_ops` and `alg` restrict when present."""
    operations = key.get("key_ops")
    return (
        key.get("use", "sig") == "sig"
        and key.get("alg", needs.jwk_algs[0]) in needs.jwk_algs
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
    )


def _material_fits(kty: str, key: Jwk) -> bool:
    match kty:
        case "RSA":
            return (
                int.from_bytes(_bytes(key, "n")).bit_length() in _RSA_MODULUS_BITS
                and int.from_bytes(_bytes(key, "e")).bit_length() in _RSA_EXPONENT_BITS
            )
        case "EC":
            return len(_bytes(key, "x")) == _COORDINATE_BYTES == len(_bytes(key, "y"))
        case "OKP":
            return len(_bytes(key, "x")) == _COORDINATE_BYTES
        case _:
            return len(_bytes(key, "k")) >= MIN_SECRET_BYTES


def _bytes(key: Jwk, name: str) -> bytes:
    """A base64url key parameter; empty when it is absent or malformed."""
    text = key.get(name)
    return (base64url(text) or b"") if isinstance(text, str) else b""
