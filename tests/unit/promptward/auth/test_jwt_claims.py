"""JWT validation: every claim rule on both sides of its boundary, and issuer and key choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from promptward.auth.failure import AuthCode, AuthFailure
from promptward.auth.jwt_claims import MAX_KEYS_TRIED, AuthPorts, JwtAuthenticator
from promptward.auth.jwt_issuer import JwtIssuerSettings
from promptward.decision import Principal
from promptward.errors import PortError
from promptward.policy.decode import decode
from promptward.ports import Jwk
from promptward.sync import run_sync
from promptward.testing.tokens import TokenMint, encode_segment
from promptward_ports.signatures import CryptographyVerifier

ISSUER = "https://idp.example"
SECRET = "a secret of at least thirty-two bytes"
NOW_S = 1_800_000_000.0
CLAIMS: dict[str, Any] = {"iss": ISSUER, "sub": "ann", "aud": "llm", "exp": NOW_S + 60}


class Keys:
    """A key source over fixed sets that remembers what it was asked."""

    def __init__(self, sets: Mapping[str, Sequence[Jwk]]) -> None:
        self.sets = sets
        self.asked: list[tuple[str, str | None]] = []

    async def keys(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk]:
        self.asked.append((jwks_uri, kid))
        if jwks_uri not in self.sets:
            raise PortError("key_source", "down")
        return [k for k in self.sets[jwks_uri] if kid is None or k.get("kid") == kid]


class CountingVerifier(CryptographyVerifier):
    """The real verifier, counting."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def verify(self, alg: str, key: Jwk, signing_input: bytes, signature: bytes) -> bool:
        self.calls.append(alg)
        return await super().verify(alg, key, signing_input, signature)


def issuer(**settings: Any) -> JwtIssuerSettings:
    plain = {"issuer": ISSUER, "audience": ["llm"], "leeway_s": 0, **settings}
    if not {"jwks", "jwks_uri"} & set(plain):
        plain.setdefault("secret", SECRET)
    return decode(JwtIssuerSettings, plain)


def check(
    token: str,
    *issuers: JwtIssuerSettings,
    now_s: float = NOW_S,
    keys: Keys | None = None,
    verifier: CountingVerifier | None = None,
) -> Principal | AuthFailure:
    ports = AuthPorts(verifier or CountingVerifier(), keys or Keys({}))
    authenticator = JwtAuthenticator(issuers or (issuer(),))
    return run_sync(authenticator.authenticate(token, now_s, ports))


def code(result: Principal | AuthFailure) -> AuthCode | None:
    return result.code if isinstance(result, AuthFailure) else None


@pytest.fixture
def mint(mints: dict[str, TokenMint]) -> TokenMint:
    return mints["HS256"]


def without(name: str) -> dict[str, Any]:
    return {k: v for k, v in CLAIMS.items() if k != name}


def test_a_valid_token_names_its_subject_and_claims(mint: TokenMint) -> None:
    claims = {**CLAIMS, "groups": ["ml"]}
    assert check(mint.token(claims)) == Principal("ann", "jwt", claims)


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_each_algorithm_verifies_with_published_keys(alg: str, mints: dict[str, TokenMint]) -> None:
    keys = Keys({"https://idp.example/jwks": [m.jwk for m in mints.values() if m.alg != "HS256"]})
    settings = issuer(jwks_uri="https://idp.example/jwks", algorithms=[alg])
    assert code(check(mints[alg].token(CLAIMS), settings, keys=keys)) is None
    assert keys.asked == [("https://idp.example/jwks", alg.lower())]


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_each_algorithm_verifies_with_inline_keys(alg: str, mints: dict[str, TokenMint]) -> None:
    settings = issuer(jwks={"keys": [mints[alg].jwk]}, algorithms=[alg])
    assert code(check(mints[alg].token(CLAIMS), settings)) is None


@pytest.mark.parametrize(
    ("claims", "now_s", "leeway_s", "expected"),
    [
        ({"exp": NOW_S + 1}, NOW_S, 0, None),
        ({"exp": NOW_S + 0.5}, NOW_S, 0, None),
        ({"exp": NOW_S}, NOW_S, 0, AuthCode.TOKEN_EXPIRED),
        ({"exp": NOW_S}, NOW_S + 29, 30, None),
        ({"exp": NOW_S}, NOW_S + 30, 30, AuthCode.TOKEN_EXPIRED),
        ({"exp": 0}, NOW_S, 300, AuthCode.TOKEN_EXPIRED),
        ({"exp": NOW_S + 60, "nbf": NOW_S}, NOW_S, 0, None),
        ({"exp": NOW_S + 60, "nbf": NOW_S + 1}, NOW_S, 0, AuthCode.TOKEN_NOT_YET_VALID),
        ({"exp": NOW_S + 60, "nbf": NOW_S + 30}, NOW_S, 30, None),
        ({"exp": NOW_S + 60, "iat": NOW_S}, NOW_S, 0, None),
        ({"exp": NOW_S + 60, "iat": NOW_S + 1}, NOW_S, 0, AuthCode.TOKEN_FROM_FUTURE),
        ({"exp": NOW_S + 60, "iat": NOW_S + 30}, NOW_S, 30, None),
        ({"exp": NOW_S + 60, "iat": NOW_S - 10**8}, NOW_S, 0, None),
    ],
)
def test_dates(
    claims: dict[str, Any],
    now_s: float,
    leeway_s: int,
    expected: AuthCode | None,
    mint: TokenMint,
) -> None:
    token = mint.token({**CLAIMS, **claims})
    assert code(check(token, issuer(leeway_s=leeway_s), now_s=now_s)) is expected


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value", ["1900000000", True, None, -1, 1_900_000_000_000, [1_900_000_000], {}, 1e300]
)
def test_malformed_dates(name: str, value: object, mint: TokenMint) -> None:
    assert code(check(mint.token({**CLAIMS, name: value}))) is AuthCode.INVALID_CLAIM


def test_exp_is_required_unless_the_policy_bounds_the_age(mint: TokenMint) -> None:
    assert code(check(mint.token(without("exp")))) is AuthCode.MISSING_CLAIM
    lenient = issuer(allow_missing_exp=True, max_age_s=60)
    token = mint.token({**without("exp"), "iat": NOW_S - 60})
    assert code(check(token, lenient)) is None
    assert code(check(token, lenient, now_s=NOW_S + 1)) is AuthCode.TOKEN_TOO_OLD
    assert code(check(mint.token(without("exp")), lenient)) is AuthCode.MISSING_CLAIM


def test_max_age_needs_iat_and_binds_whatever_exp_says(mint: TokenMint) -> None:
    strict = issuer(max_age_s=60, leeway_s=5)
    assert code(check(mint.token(CLAIMS), strict)) is AuthCode.MISSING_CLAIM
    assert code(check(mint.token({**CLAIMS, "iat": NOW_S - 65}), strict)) is None
    assert code(check(mint.token({**CLAIMS, "iat": NOW_S - 66}), strict)) is (
        AuthCode.TOKEN_TOO_OLD
    )


@pytest.mark.parametrize(
    ("audience", "aud", "expected"),
    [
        (["llm"], "llm", None),
        (["llm", "chat"], "chat", None),
        (["llm"], ["other", "llm"], None),
        (["llm"], "LLM", AuthCode.WRONG_AUDIENCE),
        (["llm"], ["other"], AuthCode.WRONG_AUDIENCE),
        (["llm"], [], AuthCode.WRONG_AUDIENCE),
        (["llm"], "", AuthCode.WRONG_AUDIENCE),
        (["llm"], None, AuthCode.INVALID_CLAIM),
        (["llm"], 1, AuthCode.INVALID_CLAIM),
        (["llm"], ["llm", 1], AuthCode.INVALID_CLAIM),
        (["llm"], {"llm": 1}, AuthCode.INVALID_CLAIM),
        ([], "llm", AuthCode.WRONG_AUDIENCE),
    ],
)
def test_audience(
    audience: list[str], aud: object, expected: AuthCode | None, mint: TokenMint
) -> None:
    token = mint.token({**CLAIMS, "aud": aud})
    assert code(check(token, issuer(audience=audience))) is expected


def test_absent_audience(mint: TokenMint) -> None:
    token = mint.token(without("aud"))
    assert code(check(token)) is AuthCode.MISSING_CLAIM
    assert code(check(token, issuer(audience=[]))) is None


@pytest.mark.parametrize("iss", [None, 1, [ISSUER], "", ISSUER + "/", ISSUER.upper()])
def test_issuer_is_compared_exactly(iss: object, mint: TokenMint) -> None:
    assert code(check(mint.token({**CLAIMS, "iss": iss}))) is AuthCode.UNKNOWN_ISSUER


def test_each_issuer_has_its_own_keys_and_rules(mints: dict[str, TokenMint]) -> None:
    other = issuer(issuer="https://b.example", jwks={"keys": [mints["ES256"].jwk]})
    both = (issuer(), other)
    good = mints["ES256"].token({**CLAIMS, "iss": "https://b.example"})
    assert code(check(good, *both)) is None
    forged = mints["HS256"].token({**CLAIMS, "iss": "https://b.example"})
    assert code(check(forged, *both)) is AuthCode.ALGORITHM_NOT_ALLOWED
    assert code(check(mints["ES256"].token(CLAIMS), *both)) is AuthCode.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("sub", [None, "", 5, ["ann"], "x" * 513])
def test_the_subject_must_be_a_bounded_string(sub: object, mint: TokenMint) -> None:
    assert code(check(mint.token({**CLAIMS, "sub": sub}))) is AuthCode.MISSING_CLAIM


def test_the_subject_may_be_another_claim(mint: TokenMint) -> None:
    token = mint.token({**CLAIMS, "user": {"id": "u7"}})
    result = check(token, issuer(subject_claim="user.id"))
    assert isinstance(result, Principal)
    assert result.id == "u7"


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"org": {"id": 1}}, None),
        ({"org": {"id": False}}, None),
        ({"org": {"id": None}}, AuthCode.MISSING_CLAIM),
        ({"org": {}}, AuthCode.MISSING_CLAIM),
        ({}, AuthCode.MISSING_CLAIM),
    ],
)
def test_required_claims(extra: dict[str, Any], expected: AuthCode | None, mint: TokenMint) -> None:
    settings = issuer(required_claims=["org.id"])
    assert code(check(mint.token({**CLAIMS, **extra}), settings)) is expected


def test_bound_tokens_are_refused_unless_their_proof_was_checked_elsewhere(
    mint: TokenMint,
) -> None:
    token = mint.token({**CLAIMS, "cnf": {"jkt": "x"}})
    assert code(check(token)) is AuthCode.BOUND_TOKEN
    assert code(check(token, issuer(accept_bound_tokens=True))) is None


@pytest.mark.parametrize(
    ("typ", "expected"),
    [
        ("JWT", None),
        ("jwt", None),
        ("at+jwt", None),
        ("application/at+jwt", None),
        ("APPLICATION/JWT", None),
        ("dpop+jwt", AuthCode.WRONG_TOKEN_TYPE),
        ("logout+jwt", AuthCode.WRONG_TOKEN_TYPE),
        ("", AuthCode.WRONG_TOKEN_TYPE),
        (1, AuthCode.WRONG_TOKEN_TYPE),
        (["JWT"], AuthCode.WRONG_TOKEN_TYPE),
    ],
)
def test_types(typ: object, expected: AuthCode | None, mint: TokenMint) -> None:
    assert code(check(mint.token(CLAIMS, typ=typ))) is expected


def test_a_missing_type_is_refused_only_when_required(mint: TokenMint) -> None:
    token = mint.token(CLAIMS, typ=None)
    assert code(check(token)) is None
    assert code(check(token, issuer(require_typ=True))) is AuthCode.WRONG_TOKEN_TYPE
    # `"typ": null` is not "no type"
    header = encode_segment({"alg": "HS256", "typ": None})
    assert code(check(mint.seal(header, encode_segment(CLAIMS)))) is AuthCode.WRONG_TOKEN_TYPE


@pytest.mark.parametrize("payload", ["[]", "null", '{"iss":"a","iss":"b"}', '{"exp":NaN}', ""])
def test_claims_must_be_one_strict_object(payload: str, mint: TokenMint) -> None:
    from promptward.testing.tokens import b64

    header = encode_segment({"alg": "HS256"})
    assert code(check(mint.seal(header, b64(payload.encode())))) is AuthCode.MALFORMED_TOKEN


# --- keys ---------------------------------------------------------------------------------------


def test_an_unknown_key_id_is_not_tried_against_other_keys(mints: dict[str, TokenMint]) -> None:
    verifier = CountingVerifier()
    settings = issuer(jwks={"keys": [mints["ES256"].jwk]})
    token = mints["ES256"].token(CLAIMS, kid="another")
    assert code(check(token, settings, verifier=verifier)) is AuthCode.UNKNOWN_KEY
    assert verifier.calls == []


def test_an_inline_key_without_an_id_serves_every_token(mints: dict[str, TokenMint]) -> None:
    jwk = {k: v for k, v in mints["ES256"].jwk.items() if k != "kid"}
    token = mints["ES256"].token(CLAIMS, kid="whatever")
    assert code(check(token, issuer(jwks={"keys": [jwk]}))) is None


def test_without_a_key_id_a_bounded_number_of_keys_is_tried(mints: dict[str, TokenMint]) -> None:
    from promptward.testing.tokens import key_mint

    others = [key_mint("ES256", str(n)).jwk for n in range(MAX_KEYS_TRIED)]
    token = mints["ES256"].token(CLAIMS, kid=None)
    verifier = CountingVerifier()
    in_reach = issuer(jwks={"keys": [*others[1:], mints["ES256"].jwk]})
    assert code(check(token, in_reach, verifier=verifier)) is None
    assert len(verifier.calls) == MAX_KEYS_TRIED
    verifier = CountingVerifier()
    out_of_reach = issuer(jwks={"keys": [*others, mints["ES256"].jwk]})
    assert code(check(token, out_of_reach, verifier=verifier)) is AuthCode.INVALID_SIGNATURE
    assert len(verifier.calls) == MAX_KEYS_TRIED


def test_a_failing_key_server_is_an_error_not_an_answer(mints: dict[str, TokenMint]) -> None:
    settings = issuer(jwks_uri="https://down.example/jwks")
    with pytest.raises(PortError, match="down"):
        check(mints["ES256"].token(CLAIMS), settings)


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "HS256"])
def test_a_signature_of_the_wrong_length_never_reaches_the_verifier(
    alg: str, mints: dict[str, TokenMint]
) -> None:
    source: dict[str, Any] = (
        {"secret": SECRET} if alg == "HS256" else {"jwks": {"keys": [mints[alg].jwk]}}
    )
    verifier = CountingVerifier()
    token = mints[alg].token(CLAIMS) + "AAAA"
    result = check(token, issuer(algorithms=[alg], **source), verifier=verifier)
    assert code(result) is AuthCode.INVALID_SIGNATURE
    assert verifier.calls == []


def test_nothing_about_claims_is_revealed_without_a_valid_signature(mint: TokenMint) -> None:
    expired = mint.token({**CLAIMS, "exp": 1, "aud": "other"})
    forged = expired[:-4] + ("AAAA" if expired[-4:] != "AAAA" else "BBBA")
    assert code(check(expired)) is AuthCode.TOKEN_EXPIRED
    assert code(check(forged)) is AuthCode.INVALID_SIGNATURE
