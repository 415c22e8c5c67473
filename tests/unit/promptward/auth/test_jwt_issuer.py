"""What a policy may and may not say about an issuer."""

from __future__ import annotations

from typing import Any

import pytest

from promptward.auth.jwt_issuer import JwtIssuerSettings, is_key_address
from promptward.errors import PolicyError
from promptward.policy.decode import decode
from promptward.testing.tokens import TokenMint

SECRET = "a secret of at least thirty-two bytes"
BASE = {"issuer": "https://idp.example", "audience": ["llm"]}


def problems(**settings: Any) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        decode(JwtIssuerSettings, {**BASE, **settings}, "jwt[0]")
    return caught.value.problems


def test_defaults_follow_the_source_of_keys() -> None:
    published = decode(JwtIssuerSettings, {**BASE, "jwks_uri": "https://idp.example/jwks"})
    assert published.effective_algorithms() == ("RS256", "ES256")
    shared = decode(JwtIssuerSettings, {**BASE, "secret": SECRET})
    assert shared.effective_algorithms() == ("HS256",)
    assert (shared.header, shared.leeway_s, shared.typ) == ("authorization", 30, ("JWT", "at+jwt"))


@pytest.mark.parametrize(
    "sources",
    [
        {},
        {"secret": SECRET, "jwks_uri": "https://idp.example/jwks"},
    ],
)
def test_exactly_one_source_of_keys(sources: dict[str, Any]) -> None:
    assert "jwt[0]: expected exactly one of jwks_uri, jwks and secret" in problems(**sources)


@pytest.mark.parametrize("algorithms", [["HS256"], ["RS256", "HS256"]])
def test_hs256_never_uses_published_keys(algorithms: list[str]) -> None:
    (problem,) = problems(jwks_uri="https://idp.example/jwks", algorithms=algorithms)
    assert problem.startswith("jwt[0].algorithms: HS256 needs `secret`")


@pytest.mark.parametrize("algorithms", [["RS256"], ["RS256", "HS256"]])
def test_a_secret_serves_only_hs256(algorithms: list[str]) -> None:
    assert problems(secret=SECRET, algorithms=algorithms) == (
        "jwt[0].algorithms: with `secret` only HS256 is possible",
    )


@pytest.mark.parametrize("alg", ["none", "None", "RS512", "HS512", "ES256K", "rs256", ""])
def test_other_algorithms_cannot_be_configured(alg: str) -> None:
    (problem,) = problems(jwks_uri="https://idp.example/jwks", algorithms=[alg])
    assert "expected one of RS256, PS256, ES256, EdDSA, HS256" in problem


def test_a_short_secret_is_refused_without_being_shown() -> None:
    (problem,) = problems(secret="canary-9c4d")
    assert "32 bytes or more" in problem
    assert "canary-9c4d" not in problem


def test_repr_does_not_show_the_secret() -> None:
    settings = decode(JwtIssuerSettings, {**BASE, "secret": SECRET})
    assert SECRET not in repr(settings)


@pytest.mark.parametrize("jwks", [{}, {"keys": []}, {"keys": "x"}, {"keys": ["x"]}, {"key": []}])
def test_inline_keys_must_be_a_key_set(jwks: dict[str, Any]) -> None:
    assert problems(jwks=jwks)[0].startswith("jwt[0].jwks: expected a JWK Set")


def test_private_keys_do_not_belong_in_a_policy(mints: dict[str, TokenMint]) -> None:
    private = {**mints["ES256"].jwk, "d": "canary-private"}
    (problem,) = problems(jwks={"keys": [mints["ES256"].jwk, private]})
    assert problem.startswith("jwt[0].jwks.keys[1]: holds private key material")
    assert "canary-private" not in problem
    assert "private key material" in problems(jwks={"keys": [mints["HS256"].jwk]})[0]


def test_inline_keys_that_can_never_be_used_are_refused(mints: dict[str, TokenMint]) -> None:
    (problem,) = problems(jwks={"keys": [mints["EdDSA"].jwk]}, algorithms=["ES256"])
    assert "fits none of the accepted algorithms" in problem


def test_a_token_without_expiry_needs_a_maximal_age() -> None:
    (problem,) = problems(secret=SECRET, allow_missing_exp=True)
    assert "needs max_age_s" in problem


def test_claim_paths_are_checked() -> None:
    found = problems(secret=SECRET, subject_claim="", required_claims=["a..b", "ok"])
    assert [p.partition(":")[0] for p in found] == [
        "jwt[0].subject_claim",
        "jwt[0].required_claims[0]",
    ]


@pytest.mark.parametrize("leeway_s", [-1, 301, 1.5, "30"])
def test_leeway_is_bounded(leeway_s: object) -> None:
    assert problems(secret=SECRET, leeway_s=leeway_s)[0].startswith("jwt[0].leeway_s: expected")


@pytest.mark.parametrize(
    "uri",
    [
        "https://idp.example/jwks",
        "https://idp.example:8443/a?b=c",
        "http://127.0.0.1:8080/jwks",
        "http://127.9.8.7/jwks",
        "http://localhost/jwks",
        "http://[::1]:9/jwks",
    ],
)
def test_key_addresses(uri: str) -> None:
    assert is_key_address(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "http://idp.example/jwks",
        "http://127.0.0.1.evil.example/jwks",
        "http://127.evil.example/jwks",
        "http://localhost.evil.example/jwks",
        "http://127.0.0.1@evil.example/jwks",
        "http://10.0.0.1/jwks",
        "http://169.254.169.254/jwks",
        "https://user:password@idp.example/jwks",
        "https://idp.example/jwks#x",
        "https://",
        "https://[::1/jwks",
        "file:///etc/passwd",
        "ftp://idp.example/jwks",
        "idp.example/jwks",
        "",
    ],
)
def test_other_addresses_are_refused(uri: str) -> None:
    assert not is_key_address(uri)


def test_an_insecure_key_address_is_a_policy_error() -> None:
    (problem,) = problems(jwks_uri="http://idp.example/jwks")
    assert problem == "jwt[0].jwks_uri: expected https (http only to a loopback address)"
