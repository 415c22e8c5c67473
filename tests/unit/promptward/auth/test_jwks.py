"""JWK Sets: what is kept of a key server's answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promptward.auth.jwks import MAX_BYTES, MAX_KEYS, parse_jwks
from promptward.errors import PortError
from promptward.testing.tokens import TokenMint


def body(*keys: Any, **members: Any) -> bytes:
    return json.dumps({"keys": list(keys), **members}).encode()


def test_usable_keys_are_kept_in_order(mints: dict[str, TokenMint]) -> None:
    keys = [mints[alg].jwk for alg in ("RS256", "ES256", "EdDSA", "PS256")]
    assert parse_jwks(body(*keys, next="ignored")) == tuple(keys)


@pytest.mark.parametrize(
    "change",
    [{"use": "enc"}, {"kty": "new"}, {"d": "AQAB"}, {"e": None}, {"alg": "RSA-OAEP-256"}],
)
def test_other_keys_are_left_out(change: dict[str, Any], mints: dict[str, TokenMint]) -> None:
    good = mints["RS256"].jwk
    assert parse_jwks(body({**good, **change}, good)) == (good,)


def test_published_secrets_and_strangers_are_left_out(mints: dict[str, TokenMint]) -> None:
    assert parse_jwks(body(mints["HS256"].jwk, "text", 1, None, [], {})) == ()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys":null}',
        b'{"keys":{}}',
        b'{"keys":[],"keys":[]}',
        b'{"keys":[NaN]}',
        b"<html>",
        b"\xff",
        b'{"keys":' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"keys":["' + b"x" * MAX_BYTES + b'"]}',
        body(*({} for _ in range(MAX_KEYS + 1))),
    ],
    ids=lambda document: document[:24].decode("latin-1"),
)
def test_anything_else_is_an_error(document: bytes) -> None:
    with pytest.raises(PortError, match="key_source: the key set"):
        parse_jwks(document)
