"""The attacks of RFC 8725 section 2 and the JWT literature, each as one forged token.

Every case starts from what an attacker has: the public keys, a valid token of their own, and
freedom to write any header and claims. None may be accepted.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from promptward.auth.failure import AuthCode, AuthFailure
from promptward.auth.jwt_claims import AuthPorts, JwtAuthenticator
from promptward.auth.jwt_issuer import JwtIssuerSettings
from promptward.policy.decode import decode
from promptward.ports import Jwk
from promptward.sync import run_sync
from promptward.testing.tokens import TokenMint, b64, encode_segment, key_mint
from promptward_ports.signatures import CryptographyVerifier

NOW_S = 1_800_000_000.0
CLAIMS: dict[str, Any] = {
    "iss": "https://idp.example",
    "aud": "llm",
    "sub": "admin",
    "exp": NOW_S + 60,
}
URI = "https://idp.example/jwks"
Mints = dict[str, TokenMint]


class Published:
    """The issuer's real key set; records every look-up."""

    def __init__(self, keys: Sequence[Jwk]) -> None:
        self._keys = keys
        self.asked: list[tuple[str, str | None]] = []

    async def keys(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk]:
        self.asked.append((jwks_uri, kid))
        return [k for k in self._keys if kid is None or k.get("kid") == kid]


def verdict(token: str, mints: Mints, algorithms: Sequence[str] = ("RS256", "ES256")) -> str:
    """The failure code, or `accepted`."""
    source = Published([mints["RS256"].jwk, mints["ES256"].jwk, mints["EdDSA"].jwk])
    settings = decode(
        JwtIssuerSettings,
        {
            "issuer": CLAIMS["iss"],
            "audience": ["llm"],
            "jwks_uri": URI,
            "algorithms": list(algorithms),
        },
    )
    ports = AuthPorts(CryptographyVerifier(), source)
    result = run_sync(JwtAuthenticator([settings]).authenticate(token, NOW_S, ports))
    assert {uri for uri, _ in source.asked} <= {URI}  # keys come from the policy's address only
    return result.code.value if isinstance(result, AuthFailure) else "accepted"


def unsigned(alg: object) -> Callable[[Mints], str]:
    return lambda _: f"{encode_segment({'alg': alg, 'typ': 'JWT'})}.{encode_segment(CLAIMS)}."


def keyed_with(material: Callable[[Jwk], bytes]) -> Callable[[Mints], str]:
    """HS256 with something public as the secret (RFC 8725 section 2.1)."""

    def forge(mints: Mints) -> str:
        header = {"alg": "HS256", "typ": "JWT", "kid": "rs256"}
        signing_input = f"{encode_segment(header)}.{encode_segment(CLAIMS)}"
        mac = hmac.new(material(mints["RS256"].jwk), signing_input.encode(), hashlib.sha256)
        return f"{signing_input}.{b64(mac.digest())}"

    return forge


def public_pem(jwk: Jwk) -> bytes:
    key = RSAAlgorithm.from_jwk(dict(jwk))
    assert isinstance(key, RSAPublicKey)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def modulus(jwk: Jwk) -> bytes:
    return base64.urlsafe_b64decode(str(jwk["n"]) + "==")


def by_attacker(**header: Any) -> Callable[[Mints], str]:
    """Signed with the attacker's own key, the header arguing for it."""

    def forge(_: Mints) -> str:
        own = key_mint("ES256")
        filled = {k: (own.jwk if v == "own key" else v) for k, v in header.items()}
        return own.token(CLAIMS, **filled)

    return forge


def resealed(**header: Any) -> Callable[[Mints], str]:
    """A genuine signature by the issuer's own key over a header that must not pass."""
    return lambda mints: mints["ES256"].token(CLAIMS, **header)


def raw_header(text: str) -> Callable[[Mints], str]:
    return lambda mints: mints["ES256"].seal(b64(text.encode()), encode_segment(CLAIMS))


def spliced(mints: Mints) -> str:
    """The signature of one token under the claims of another."""
    mine = mints["ES256"].token({**CLAIMS, "sub": "mallory"})
    header, _, signature = mine.split(".")
    return f"{header}.{encode_segment(CLAIMS)}.{signature}"


def psychic(mints: Mints) -> str:
    """CVE-2022-21449: r = s = 0."""
    header = encode_segment({"alg": "ES256", "kid": "es256"})
    return f"{header}.{encode_segment(CLAIMS)}.{b64(bytes(64))}"


def der_signature(mints: Mints) -> str:
    token = mints["ES256"].token(CLAIMS)
    head, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    body = b"".join(b"\x02" + bytes([len(p)]) + p for p in (b"\x00" + raw[:32], b"\x00" + raw[32:]))
    return f"{head}.{b64(b'0' + bytes([len(body)]) + body)}"


def json_serialization(mints: Mints) -> str:
    header, payload, signature = mints["ES256"].token(CLAIMS).split(".")
    return json.dumps({"protected": header, "payload": payload, "signature": signature})


ATTACKS: dict[str, tuple[Callable[[Mints], str], AuthCode]] = {
    "alg none": (unsigned("none"), AuthCode.ALGORITHM_NOT_ALLOWED),
    "alg None": (unsigned("None"), AuthCode.ALGORITHM_NOT_ALLOWED),
    "alg nOnE": (unsigned("nOnE"), AuthCode.ALGORITHM_NOT_ALLOWED),
    "alg empty": (unsigned(""), AuthCode.ALGORITHM_NOT_ALLOWED),
    "alg null": (unsigned(None), AuthCode.ALGORITHM_NOT_ALLOWED),
    "alg a list": (unsigned(["none"]), AuthCode.ALGORITHM_NOT_ALLOWED),
    "alg an object": (unsigned({"RS256": 1}), AuthCode.ALGORITHM_NOT_ALLOWED),
    "alg true": (unsigned(True), AuthCode.ALGORITHM_NOT_ALLOWED),
    "alg RS256, signature removed": (
        lambda m: m["RS256"].token(CLAIMS).rpartition(".")[0] + ".",
        AuthCode.INVALID_SIGNATURE,
    ),
    "alg rs256 in lower case": (
        lambda m: m["RS256"].token(CLAIMS, alg="rs256"),
        AuthCode.ALGORITHM_NOT_ALLOWED,
    ),
    "alg HS256 with the public PEM as secret": (
        keyed_with(public_pem),
        AuthCode.ALGORITHM_NOT_ALLOWED,
    ),
    "alg HS256 with the public PEM without its last newline": (
        keyed_with(lambda jwk: public_pem(jwk).rstrip()),
        AuthCode.ALGORITHM_NOT_ALLOWED,
    ),
    "alg HS256 with the modulus as secret": (keyed_with(modulus), AuthCode.ALGORITHM_NOT_ALLOWED),
    "alg HS256 with an empty secret": (
        keyed_with(lambda _: b""),
        AuthCode.ALGORITHM_NOT_ALLOWED,
    ),
    "alg not in this issuer's list, key of the issuer": (
        lambda m: m["EdDSA"].token(CLAIMS),
        AuthCode.ALGORITHM_NOT_ALLOWED,
    ),
    "alg RS256 under the key id of an EC key": (
        lambda m: m["RS256"].token(CLAIMS, kid="es256"),
        AuthCode.UNKNOWN_KEY,
    ),
    "attacker's key, kid of the issuer": (
        by_attacker(kid="es256"),
        AuthCode.INVALID_SIGNATURE,
    ),
    "attacker's key, no kid": (by_attacker(kid=None), AuthCode.INVALID_SIGNATURE),
    "attacker's key embedded as jwk": (
        by_attacker(kid=None, jwk="own key"),
        AuthCode.INVALID_SIGNATURE,
    ),
    "attacker's key set by jku": (
        by_attacker(kid="evil", jku="https://evil.example/jwks"),
        AuthCode.UNKNOWN_KEY,
    ),
    "jku that begins like the issuer's": (
        by_attacker(kid="evil", jku=URI + "@evil.example"),
        AuthCode.UNKNOWN_KEY,
    ),
    "attacker's certificate by x5u": (
        by_attacker(kid=None, x5u="https://evil.example/cert.pem"),
        AuthCode.INVALID_SIGNATURE,
    ),
    "attacker's certificate as x5c": (
        by_attacker(kid=None, x5c=["MIIB"]),
        AuthCode.INVALID_SIGNATURE,
    ),
    "kid is a path": (by_attacker(kid="../../../../dev/null"), AuthCode.UNKNOWN_KEY),
    "kid is SQL": (by_attacker(kid="x' UNION SELECT 'key"), AuthCode.UNKNOWN_KEY),
    "kid is a command": (by_attacker(kid="|id"), AuthCode.UNKNOWN_KEY),
    "kid is an address": (by_attacker(kid="http://169.254.169.254/"), AuthCode.UNKNOWN_KEY),
    "kid too long": (resealed(kid="k" * 257), AuthCode.MALFORMED_TOKEN),
    "kid empty": (resealed(kid=""), AuthCode.MALFORMED_TOKEN),
    "kid a number": (resealed(kid=1), AuthCode.MALFORMED_TOKEN),
    "kid a list": (resealed(kid=["es256"]), AuthCode.MALFORMED_TOKEN),
    "crit with an unknown extension": (
        resealed(crit=["exp"], exp=1),
        AuthCode.CRITICAL_HEADER,
    ),
    "crit empty": (resealed(crit=[]), AuthCode.CRITICAL_HEADER),
    "crit names b64": (resealed(crit=["b64"], b64=False), AuthCode.CRITICAL_HEADER),
    "b64 without crit": (resealed(b64=False), AuthCode.CRITICAL_HEADER),
    "header parameter twice": (
        raw_header('{"alg":"ES256","kid":"es256","alg":"ES256"}'),
        AuthCode.MALFORMED_TOKEN,
    ),
    "header parameter twice, escaped": (
        raw_header('{"alg":"ES256","kid":"es256","\\u0061lg":"none"}'),
        AuthCode.MALFORMED_TOKEN,
    ),
    "claims of another token": (spliced, AuthCode.INVALID_SIGNATURE),
    "psychic signature": (psychic, AuthCode.INVALID_SIGNATURE),
    "DER instead of r||s": (der_signature, AuthCode.INVALID_SIGNATURE),
    "JSON serialization": (json_serialization, AuthCode.MALFORMED_TOKEN),
    "encrypted token": (lambda _: "e30.e30.e30.e30.e30", AuthCode.ENCRYPTED_TOKEN),
    "token of another kind (OpenID logout)": (
        resealed(typ="logout+jwt"),
        AuthCode.WRONG_TOKEN_TYPE,
    ),
    "token for several other audiences": (
        lambda m: m["ES256"].token({**CLAIMS, "aud": ["a", "b", "llm2"]}),
        AuthCode.WRONG_AUDIENCE,
    ),
    "token of another issuer signed with this issuer's key": (
        lambda m: m["ES256"].token({**CLAIMS, "iss": "https://idp.example.evil"}),
        AuthCode.UNKNOWN_ISSUER,
    ),
    "claim twice": (
        lambda m: m["ES256"].seal(
            encode_segment({"alg": "ES256", "kid": "es256"}),
            b64(json.dumps(CLAIMS).encode()[:-1] + b',"sub":"root"}'),
        ),
        AuthCode.MALFORMED_TOKEN,
    ),
    "nested token as payload": (
        lambda m: m["ES256"].seal(
            encode_segment({"alg": "ES256", "kid": "es256", "cty": "JWT"}),
            b64(m["ES256"].token(CLAIMS).encode()),
        ),
        AuthCode.MALFORMED_TOKEN,
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(name: str, mints: Mints) -> None:
    forge, expected = ATTACKS[name]
    assert verdict(forge(mints), mints) == expected.value


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_the_same_setup_accepts_a_genuine_token(alg: str, mints: Mints) -> None:
    """Without this the table above could pass because everything is refused."""
    assert verdict(mints[alg].token(CLAIMS), mints) == "accepted"


def test_a_genuine_token_may_name_several_audiences(mints: Mints) -> None:
    token = mints["ES256"].token({**CLAIMS, "aud": ["other", "llm"]})
    assert verdict(token, mints) == "accepted"


def test_rsa_padding_modes_are_not_interchangeable(mints: Mints) -> None:
    token = mints["RS256"].token(CLAIMS, alg="PS256")  # PKCS #1 v1.5 signature called PSS
    assert verdict(token, mints, ("RS256", "PS256")) == AuthCode.INVALID_SIGNATURE.value


def test_failures_never_quote_the_token(mints: Mints) -> None:
    source = Published([mints["ES256"].jwk])
    settings = decode(
        JwtIssuerSettings,
        {"issuer": "i", "audience": ["llm"], "jwks_uri": URI, "algorithms": ["ES256"]},
    )
    canary = "canary-5b1e"
    for header in ({"kid": canary}, {"alg": canary}, {"typ": canary}, {"crit": [canary]}):
        for claims in ({"iss": canary}, {"iss": "i", "sub": canary}, {"iss": "i", "aud": canary}):
            token = mints["ES256"].token(claims, **header)
            ports = AuthPorts(CryptographyVerifier(), source)
            result = run_sync(JwtAuthenticator([settings]).authenticate(token, NOW_S, ports))
            assert isinstance(result, AuthFailure)
            assert canary not in repr(result)
            assert canary not in repr(result.headers)
