"""Mint signed tokens for tests: a stand-in for an identity provider.

HS256 needs nothing but the standard library; the asymmetric algorithms need `cryptography`. The
mint signs whatever it is given, valid or not: that is the point.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from promptward.exchange import JSON


def b64(data: bytes) -> str:
    """Unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode_segment(value: object) -> str:
    """One token segment holding JSON."""
    return b64(json.dumps(value, separators=(",", ":")).encode())


@dataclass(frozen=True, slots=True)
class TokenMint:
    """One signing key and its algorithm.

    Attributes:
        alg: what it signs with, and what it writes into the header.
        jwk: the verifying key.
        sign: signing input to signature.
    """

    alg: str
    jwk: dict[str, JSON]
    sign: Callable[[bytes], bytes] = field(repr=False)

    def token(self, claims: Mapping[str, object], **header: object) -> str:
        """A compact JWS. A header parameter given as None is left out."""
        written = {"alg": self.alg, "typ": "JWT", "kid": self.jwk.get("kid"), **header}
        written = {name: value for name, value in written.items() if value is not None}
        return self.seal(encode_segment(written), encode_segment(claims))

    def seal(self, header: str, payload: str) -> str:
        """Sign two finished segments."""
        signing_input = f"{header}.{payload}"
        return f"{signing_input}.{b64(self.sign(signing_input.encode()))}"


def secret_mint(secret: str) -> TokenMint:
    """HS256 with a shared secret."""
    key = secret.encode()
    return TokenMint(
        "HS256",
        {"kty": "oct", "k": b64(key)},
        lambda data: hmac.new(key, data, hashlib.sha256).digest(),
    )


def key_mint(alg: str, kid: str | None = None) -> TokenMint:
    """A new key pair for RS256, PS256, ES256 or EdDSA. Needs `cryptography` and PyJWT."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from jwt import algorithms

    private: Any
    match alg:
        case "RS256" | "PS256":
            private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        case _:
            raise ValueError(f"no key pair for {alg}")
    signer = algorithms.get_default_algorithms()[alg]
    jwk: dict[str, JSON] = {
        name: value
        for name, value in signer.to_jwk(private.public_key(), as_dict=True).items()
        if name != "key_ops"
    }
    if kid is not None:
        jwk["kid"] = kid
    return TokenMint(alg, jwk, lambda data: signer.sign(data, private))
