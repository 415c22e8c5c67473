"""Compact JWS parsing and key fitness."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from promptward.auth.failure import AuthCode, AuthFailure
from promptward.auth.jose import (
    ALGORITHMS,
    MAX_TOKEN_CHARACTERS,
    Jws,
    base64url,
    fitting_keys,
    key_fits,
    parse_compact,
    parse_object,
)
from promptward.testing.tokens import b64, encode_segment, secret_mint

MINT = secret_mint("a secret of at least thirty-two bytes")


def failure_of(token: str) -> AuthCode:
    parsed = parse_compact(token)
    assert isinstance(parsed, AuthFailure)
    return parsed.code


def test_a_token_is_split_and_decoded() -> None:
    token = MINT.token({"sub": "ann"})
    parsed = parse_compact(token)
    assert isinstance(parsed, Jws)
    assert parsed.header == {"alg": "HS256", "typ": "JWT"}
    assert parsed.payload == b'{"sub":"ann"}'
    assert parsed.signing_input.decode() == token.rpartition(".")[0]
    assert parsed.signature == MINT.sign(parsed.signing_input)


def test_repr_shows_nothing_secret() -> None:
    parsed = parse_compact(MINT.token({"sub": "canary-7151"}))
    assert isinstance(parsed, Jws)
    shown = repr(parsed)
    assert "canary-7151" not in shown
    assert "signature" not in shown


@pytest.mark.parametrize("token", ["", ".", "a.b", "a.b.c.d", "x" * 40, "a.b.c.d.e.f"])
def test_not_three_parts(token: str) -> None:
    assert failure_of(token) is AuthCode.MALFORMED_TOKEN


def test_five_parts_are_an_encrypted_token() -> None:
    assert failure_of("a.b.c.d.e") is AuthCode.ENCRYPTED_TOKEN


def test_longest_token() -> None:
    body = MINT.token({"pad": ""})
    room = MAX_TOKEN_CHARACTERS - len(body)
    fits = MINT.token({"pad": "x" * (room * 3 // 4 - 2)})
    assert len(fits) <= MAX_TOKEN_CHARACTERS
    assert isinstance(parse_compact(fits), Jws)
    assert failure_of(fits + "A" * (MAX_TOKEN_CHARACTERS - len(fits) + 1)) is (
        AuthCode.MALFORMED_TOKEN
    )


@pytest.mark.parametrize(
    "header",
    [
        "[]",
        "1",
        '"x"',
        "null",
        '{"alg":"HS256","alg":"none"}',
        '{"alg":"HS256",}',
        '{"alg":NaN}',
        "\ufeff{}",
        '{"a":"\\ud800"}',
        "{} {}",
        "[" * 5000,
        '{"a":' * 20 + "1" + "}" * 20,
    ],
)
def test_header_must_be_one_strict_object(header: str) -> None:
    assert failure_of(MINT.seal(b64(header.encode()), encode_segment({}))) is (
        AuthCode.MALFORMED_TOKEN
    )


def test_header_must_be_utf8() -> None:
    assert failure_of(MINT.seal(b64(b'{"a":"\xff"}'), encode_segment({}))) is (
        AuthCode.MALFORMED_TOKEN
    )


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff\xfe", b"\xfb\xef\xbe", bytes(range(256))])
def test_canonical_base64url_round_trips(data: bytes) -> None:
    assert base64url(base64.urlsafe_b64encode(data).rstrip(b"=").decode()) == data


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AA==",
        "AB",
        "++++",
        "////",
        "AA\n",
        " AA",
        "A-A$",
        "AAé=",
        "AAAA\u0661",
        "A A A",
        "=",
        "\x00",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    assert base64url(text) is None


def test_every_single_character_changes_the_token() -> None:
    """No malleability: a token has exactly one spelling."""
    token = MINT.token({"sub": "ann"})
    original = parse_compact(token)
    assert isinstance(original, Jws)
    for position in range(len(token)):
        for character in "AB_-.+/= ":
            changed = token[:position] + character + token[position + 1 :]
            other = parse_compact(changed)
            if changed != token and isinstance(other, Jws):
                assert (other.signing_input, other.signature) != (
                    original.signing_input,
                    original.signature,
                )


def test_payload_objects_follow_the_same_rules() -> None:
    assert parse_object(b'{"a":1}') == {"a": 1}
    assert parse_object(b'{"a":1,"a":2}') is None
    assert parse_object(b'{"a":1e999}') is None


# --- keys ---------------------------------------------------------------------------------------

N2048, E = b64(b"\xc5" * 256), "AQAB"
RSA: dict[str, Any] = {"kty": "RSA", "n": N2048, "e": E}
EC: dict[str, Any] = {"kty": "EC", "crv": "P-256", "x": b64(b"x" * 32), "y": b64(b"y" * 32)}
OKP: dict[str, Any] = {"kty": "OKP", "crv": "Ed25519", "x": b64(b"x" * 32)}
OCT: dict[str, Any] = {"kty": "oct", "k": b64(b"k" * 32)}
FITS = {"RS256": RSA, "PS256": RSA, "ES256": EC, "EdDSA": OKP, "HS256": OCT}


@pytest.mark.parametrize("alg", FITS)
@pytest.mark.parametrize("key", [RSA, EC, OKP, OCT], ids=lambda key: key["kty"])
def test_a_key_fits_only_algorithms_of_its_own_type(alg: str, key: dict[str, Any]) -> None:
    assert key_fits(alg, key) is (FITS[alg] is key)


def test_the_table_holds_no_unsigned_algorithm() -> None:
    assert set(ALGORITHMS) == set(FITS)
    assert not any(key_fits("none", key) for key in (RSA, EC, OKP, OCT, {}))


@pytest.mark.parametrize(
    "purpose",
    [
        {"use": "sig"},
        {"alg": "RS256"},
        {"key_ops": ["verify"]},
        {"key_ops": ["verify", "encrypt"]},
        {"use": "sig", "alg": "RS256", "key_ops": ["verify"], "kid": "1", "x5c": ["ignored"]},
    ],
)
def test_declared_purpose_permits(purpose: dict[str, Any]) -> None:
    assert key_fits("RS256", {**RSA, **purpose})


@pytest.mark.parametrize(
    "purpose",
    [
        {"use": "enc"},
        {"use": None},
        {"alg": "RS512"},
        {"alg": "PS256"},
        {"alg": None},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"use": "sig", "alg": "RSA-OAEP"},
    ],
)
def test_declared_purpose_forbids(purpose: dict[str, Any]) -> None:
    assert not key_fits("RS256", {**RSA, **purpose})


@pytest.mark.parametrize("name", ["EdDSA", "Ed25519"])
def test_both_names_of_ed25519_are_known(name: str) -> None:
    assert key_fits("EdDSA", {**OKP, "alg": name})


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("RS256", {**RSA, "n": b64(b"\xc5" * 255)}),  # 2040 bits
        ("RS256", {**RSA, "n": b64(b"\x00" + b"\xc5" * 255)}),
        ("RS256", {**RSA, "n": b64(b"\x7f" + b"\xc5" * 255)}),  # 2047 bits
        ("RS256", {**RSA, "n": b64(b"\xc5" * 1025)}),
        ("RS256", {**RSA, "n": N2048 + "="}),
        ("RS256", {**RSA, "n": 5}),
        ("RS256", {**RSA, "e": "AQ"}),  # 1: every signature would be its own message
        ("RS256", {**RSA, "e": ""}),
        ("RS256", {**RSA, "e": b64(b"\x01" * 9)}),
        ("RS256", {"kty": "RSA", "e": E}),
        ("ES256", {**EC, "crv": "P-384"}),
        ("ES256", {**EC, "crv": "secp256k1"}),
        ("ES256", {**EC, "x": b64(b"x" * 31)}),
        ("ES256", {**EC, "y": b64(b"y" * 33)}),
        ("ES256", {k: v for k, v in EC.items() if k != "y"}),
        ("ES256", {k: v for k, v in EC.items() if k != "crv"}),
        ("EdDSA", {**OKP, "crv": "Ed448"}),
        ("EdDSA", {**OKP, "crv": "X25519"}),
        ("EdDSA", {**OKP, "x": b64(b"x" * 31)}),
        ("HS256", {**OCT, "k": b64(b"k" * 31)}),
        ("HS256", {"kty": "oct"}),
        ("HS256", {"kty": "OCT", "k": b64(b"k" * 32)}),
    ],
)
def test_weak_or_malformed_keys_never_fit(alg: str, key: dict[str, Any]) -> None:
    assert not key_fits(alg, key)


def test_fitting_keys_keep_their_order() -> None:
    keys = [OCT, {**RSA, "kid": "1"}, EC, {**RSA, "kid": "2"}]
    assert [k["kid"] for k in fitting_keys("RS256", keys)] == ["1", "2"]
