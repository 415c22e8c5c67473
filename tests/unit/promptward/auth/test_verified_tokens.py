"""The cache of verified tokens never says yes where verification would say no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from promptward.auth.failure import AuthCode, AuthFailure
from promptward.auth.jwt_claims import AuthPorts, JwtAuthenticator
from promptward.auth.jwt_issuer import JwtIssuerSettings
from promptward.auth.verified_tokens import VerifiedTokens
from promptward.decision import Principal
from promptward.ports import Jwk
from promptward.sync import run_sync
from promptward.testing.tokens import TokenMint
from promptward_ports.signatures import CryptographyVerifier

NOW_S = 1_800_000_000.0
ANN, BOB = Principal("ann", "jwt", {}), Principal("bob", "jwt", {})


class CountingVerifier(CryptographyVerifier):
    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = 0

    async def verify(self, alg: str, key: Jwk, signing_input: bytes, signature: bytes) -> bool:
        self.calls += 1
        return await super().verify(alg, key, signing_input, signature)


class NoKeys:
    async def keys(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk]:
        raise AssertionError("keys are inline")


class Caller:
    """One authenticator whose verifications are counted."""

    def __init__(self, mint: TokenMint, cache_s: int = 30, **settings: Any) -> None:
        issuer = JwtIssuerSettings(
            issuer="i", jwks={"keys": [mint.jwk]}, algorithms=("ES256",), leeway_s=0, **settings
        )
        self.verifier = CountingVerifier()
        self._jwt = JwtAuthenticator([issuer], cache_s)

    def present(self, token: str, now_s: float) -> Principal | AuthFailure:
        return run_sync(self._jwt.authenticate(token, now_s, AuthPorts(self.verifier, NoKeys())))


@pytest.fixture
def mint(mints: dict[str, TokenMint]) -> TokenMint:
    return mints["ES256"]


def claims(**more: Any) -> dict[str, Any]:
    return {"iss": "i", "sub": "ann", "exp": NOW_S + 1000, **more}


def test_a_token_is_verified_once_per_cache_time(mint: TokenMint) -> None:
    caller, token = Caller(mint), mint.token(claims())
    answers = [caller.present(token, NOW_S + second) for second in range(60)]
    assert answers == [Principal("ann", "jwt", claims())] * 60
    assert caller.verifier.calls == 2


def test_zero_turns_it_off(mint: TokenMint) -> None:
    caller, token = Caller(mint, cache_s=0), mint.token(claims())
    for _ in range(3):
        caller.present(token, NOW_S)
    assert caller.verifier.calls == 3


@pytest.mark.parametrize(
    ("written", "settings", "code"),
    [
        ({"exp": NOW_S + 5}, {}, AuthCode.TOKEN_EXPIRED),
        ({"iat": NOW_S - 5}, {"max_age_s": 10}, AuthCode.TOKEN_TOO_OLD),
    ],
)
def test_the_end_of_the_token_ends_the_entry(
    written: dict[str, Any], settings: dict[str, Any], code: AuthCode, mint: TokenMint
) -> None:
    caller, token = Caller(mint, **settings), mint.token(claims(**written))
    assert isinstance(caller.present(token, NOW_S), Principal)
    assert isinstance(caller.present(token, NOW_S + 4.9), Principal)
    failure = caller.present(token, NOW_S + 5.1)
    assert isinstance(failure, AuthFailure)
    assert failure.code is code


def test_a_clock_that_steps_back_verifies_again(mint: TokenMint) -> None:
    caller, token = Caller(mint), mint.token(claims(nbf=NOW_S))
    assert isinstance(caller.present(token, NOW_S), Principal)
    failure = caller.present(token, NOW_S - 1)
    assert isinstance(failure, AuthFailure)
    assert failure.code is AuthCode.TOKEN_NOT_YET_VALID


def test_failures_are_never_kept(mint: TokenMint) -> None:
    caller, token = Caller(mint), mint.token(claims(nbf=NOW_S + 1))
    assert isinstance(caller.present(token, NOW_S), AuthFailure)
    assert isinstance(caller.present(token, NOW_S + 1), Principal)


def test_only_the_exact_token_hits() -> None:
    cache = VerifiedTokens()
    cache.keep("token-a", ANN, NOW_S, NOW_S + 10)
    cache.keep("token-b", BOB, NOW_S, NOW_S + 10)
    assert cache.find("token-a", NOW_S) == ANN
    assert cache.find("token-b", NOW_S) == BOB
    for other in ("token-A", "token-a ", "token-", "", "\ud800"):
        assert cache.find(other, NOW_S) is None


def test_recent_tokens_stay_and_memory_is_bounded() -> None:
    cache = VerifiedTokens()
    for number in range(10_000):
        cache.keep(f"t{number}", ANN, NOW_S, NOW_S + 10)
        assert cache.find(f"t{max(0, number - 500)}", NOW_S) == ANN
    assert len(cache._recent) + len(cache._older) <= 1024


def test_long_tokens_are_not_kept() -> None:
    cache = VerifiedTokens()
    cache.keep("x" * 4097, ANN, NOW_S, NOW_S + 10)
    assert cache.find("x" * 4097, NOW_S) is None
    assert not cache._recent
