"""Exactly one credential decides who is calling."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest

from promptward.auth.failure import AuthCode, AuthFailure
from promptward.checks.identity import (
    DEFAULT_STRIPPED,
    Authenticated,
    AuthOutcome,
    IdentityCheck,
    IdentitySettings,
)
from promptward.decision import Principal
from promptward.errors import PolicyError
from promptward.exchange import JSON, Exchange, GatewayIdentity, Headers
from promptward.policy.decode import decode
from promptward.ports import Jwk
from promptward.sync import run_sync
from promptward.testing.tokens import secret_mint
from promptward_ports.signatures import CryptographyVerifier

NOW_S = 1_800_000_000.0
SECRET = "a secret of at least thirty-two bytes"
MINT = secret_mint(SECRET)
JWT = {"issuer": "https://idp.example", "audience": ["llm"], "secret": SECRET}
CLAIMS: dict[str, JSON] = {
    "iss": "https://idp.example",
    "aud": "llm",
    "sub": "ann",
    "exp": NOW_S + 60,
}
TOKEN = MINT.token(CLAIMS)
KEY = "sk-demo-1234567890"
API_KEYS: dict[str, Any] = {
    "keys": [
        {"id": "app", "sha256": hashlib.sha256(KEY.encode()).hexdigest()},
        {"id": "odd", "sha256": hashlib.sha256(b"a.b").hexdigest()},
    ]
}
GATEWAY = {"methods": ["kong_consumer"]}


class NoKeys:
    async def keys(self, jwks_uri: str, kid: str | None) -> Sequence[Jwk]:
        raise AssertionError("no key server is configured")


def check(
    settings: dict[str, Any],
    *headers: tuple[str, str],
    gateway: GatewayIdentity | None = None,
) -> AuthOutcome:
    compiled = IdentityCheck(decode(IdentitySettings, settings))
    exchange = Exchange(
        "POST", "llm.example", "/v1/chat/completions", Headers(headers), gateway_identity=gateway
    )
    return run_sync(compiled.authenticate(exchange, NOW_S, CryptographyVerifier(), NoKeys()))


def code(outcome: AuthOutcome) -> AuthCode | None:
    return outcome.code if isinstance(outcome, AuthFailure) else None


def principal(outcome: AuthOutcome) -> Principal:
    assert isinstance(outcome, Authenticated), outcome
    return outcome.principal


def bearer(credential: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {credential}")


BOTH = {"jwt": [JWT], "api_keys": API_KEYS}


def test_a_token_and_a_key_may_share_a_header() -> None:
    assert principal(check(BOTH, bearer(TOKEN))) == Principal("ann", "jwt", CLAIMS)
    assert principal(check(BOTH, bearer(KEY))) == Principal("app", "api_key", {"sub": "app"})


@pytest.mark.parametrize(
    "value", [f"bearer {KEY}", f"BEARER   {KEY}", f"  Bearer {KEY}\t", f"Bearer {KEY}"]
)
def test_the_scheme_is_case_insensitive(value: str) -> None:
    assert principal(check(BOTH, ("authorization", value))).id == "app"


def test_no_credentials() -> None:
    outcome = check(BOTH, ("x-api-key", KEY), ("cookie", f"token={KEY}"))
    assert code(outcome) is AuthCode.MISSING_CREDENTIALS
    assert isinstance(outcome, AuthFailure)
    assert outcome.headers == (("www-authenticate", "Bearer"),)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        KEY,
        f"Bearer{KEY}",
        f"Basic {KEY}",
        f"Bearer {KEY} {KEY}",
        f"Bearer {KEY}, Bearer {KEY}",
        f"Bearer {KEY},Basic x",
        f"Bearer\t{KEY}",
        f"Bearer \u00a0{KEY}",
        f"Bearer {KEY}\u00e9",
        f"Bearer {KEY}\x00",
        f"Bearer {KEY}\r\nx: y",
        "B\u212aarer x",
    ],
)
def test_a_malformed_header_is_never_ignored(value: str) -> None:
    settings = {**BOTH, "allow_anonymous": True}
    assert code(check(settings, ("authorization", value))) is AuthCode.MALFORMED_CREDENTIALS


@pytest.mark.parametrize("name", ["x-api-key", "api-key"])
def test_keys_in_other_headers_stand_alone(name: str) -> None:
    settings = {
        "api_keys": {**API_KEYS, "header": "X-API-Key", "also_headers": ["api-key"]},
    }
    outcome = check(settings, (name, KEY))
    assert principal(outcome).id == "app"
    assert isinstance(outcome, Authenticated)
    assert outcome.used_headers == (name,)
    assert code(check(settings, (name, f"Bearer {KEY}"))) is AuthCode.MALFORMED_CREDENTIALS
    assert code(check(settings, (name, f"{KEY},{KEY}"))) is AuthCode.MALFORMED_CREDENTIALS
    assert code(check(settings, (name, ""))) is AuthCode.MALFORMED_CREDENTIALS


def test_a_token_in_another_header() -> None:
    settings = {"jwt": [{**JWT, "header": "cf-access-jwt-assertion"}], "api_keys": API_KEYS}
    outcome = check(settings, ("cf-access-jwt-assertion", TOKEN))
    assert principal(outcome).id == "ann"
    # the same token where only keys are expected is a wrong key, not a token
    assert code(check(settings, bearer(TOKEN))) is AuthCode.UNKNOWN_API_KEY


# --- one credential, one method -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        ("a.b.c", AuthCode.MALFORMED_TOKEN),
        ("a.b.c.d.e", AuthCode.ENCRYPTED_TOKEN),
        (TOKEN + "A", AuthCode.INVALID_SIGNATURE),
        (TOKEN.rpartition(".")[0], AuthCode.UNKNOWN_API_KEY),
        ("a.b.c.d", AuthCode.UNKNOWN_API_KEY),
        (KEY + "x", AuthCode.UNKNOWN_API_KEY),
    ],
)
def test_what_fails_its_method_is_not_tried_as_another(credential: str, expected: AuthCode) -> None:
    assert code(check(BOTH, bearer(credential))) is expected


def test_the_shape_decides_only_where_both_are_possible() -> None:
    assert principal(check({"api_keys": API_KEYS}, bearer("a.b"))).id == "odd"
    assert code(check({"jwt": [JWT]}, bearer(KEY))) is AuthCode.MALFORMED_TOKEN
    assert code(check({"api_keys": API_KEYS}, bearer(TOKEN))) is AuthCode.UNKNOWN_API_KEY


TWO_HEADERS = {"jwt": [JWT], "api_keys": {**API_KEYS, "header": "x-api-key"}}


@pytest.mark.parametrize(
    "headers",
    [
        [bearer(TOKEN), ("x-api-key", KEY)],
        [("x-api-key", KEY), bearer(TOKEN)],
        [bearer("wrong"), ("x-api-key", KEY)],
        [bearer(TOKEN), ("x-api-key", "wrong")],
        [bearer(TOKEN), ("x-api-key", "")],
        [("authorization", "Basic x"), ("x-api-key", "")],
        [bearer(TOKEN), bearer(TOKEN)],
        [("x-api-key", KEY), ("X-Api-Key", "other")],
    ],
)
def test_two_credentials_are_refused(headers: list[tuple[str, str]]) -> None:
    outcome = check(TWO_HEADERS, *headers)
    assert code(outcome) is AuthCode.AMBIGUOUS_CREDENTIALS
    assert isinstance(outcome, AuthFailure)
    assert 'error="invalid_request"' in outcome.headers[0][1]


def test_the_same_key_in_two_key_headers_is_one_credential() -> None:
    settings = {"api_keys": {**API_KEYS, "header": "x-api-key", "also_headers": ["api-key"]}}
    outcome = check(settings, ("api-key", KEY), ("x-api-key", KEY))
    assert principal(outcome).id == "app"
    assert isinstance(outcome, Authenticated)
    assert set(outcome.used_headers) == {"api-key", "x-api-key"}
    mixed = check(settings, ("api-key", KEY), ("x-api-key", KEY + "x"))
    assert code(mixed) is AuthCode.AMBIGUOUS_CREDENTIALS


def test_the_same_key_with_and_without_bearer_is_one_credential() -> None:
    settings = {"api_keys": {**API_KEYS, "also_headers": ["x-api-key"]}}
    outcome = check(settings, bearer(KEY), ("x-api-key", KEY))
    assert principal(outcome).id == "app"


def test_other_headers_are_not_credentials() -> None:
    outcome = check(
        {"api_keys": {**API_KEYS, "header": "x-api-key"}}, ("x-api-key", KEY), bearer("x")
    )
    assert principal(outcome).id == "app"


def test_anonymous_only_when_nothing_was_presented() -> None:
    settings = {**BOTH, "allow_anonymous": True}
    outcome = check(settings)
    assert principal(outcome) == Principal("", "anonymous", {})
    assert code(check(settings, bearer("wrong"))) is AuthCode.UNKNOWN_API_KEY


# --- what the gateway verified ------------------------------------------------------------------


def consumer(method: str = "kong_consumer", **claims: Any) -> GatewayIdentity:
    return GatewayIdentity(method, {"sub": "ann", **claims})


def test_a_trusted_gateway_identity_is_the_caller() -> None:
    outcome = check({"gateway": GATEWAY}, bearer("seen by the gateway"), gateway=consumer(tier=1))
    assert principal(outcome) == Principal("ann", "gateway", {"sub": "ann", "tier": 1})


@pytest.mark.parametrize(
    ("settings", "gateway"),
    [
        ({"gateway": GATEWAY}, None),
        ({"gateway": GATEWAY}, consumer("envoy_jwt_authn")),
        ({"api_keys": API_KEYS}, consumer()),
        ({"gateway": GATEWAY, "api_keys": API_KEYS}, consumer("Kong_Consumer")),
    ],
)
def test_an_untrusted_gateway_identity_counts_for_nothing(
    settings: dict[str, Any], gateway: GatewayIdentity | None
) -> None:
    assert code(check(settings, gateway=gateway)) is AuthCode.MISSING_CREDENTIALS


def test_without_a_gateway_identity_other_methods_decide() -> None:
    settings = {"gateway": GATEWAY, "api_keys": API_KEYS}
    assert principal(check(settings, bearer(KEY))).id == "app"


def test_a_credential_beside_the_gateway_identity_is_ambiguous() -> None:
    settings = {"gateway": GATEWAY, "api_keys": API_KEYS}
    assert code(check(settings, bearer(KEY), gateway=consumer())) is (
        AuthCode.AMBIGUOUS_CREDENTIALS
    )


def test_unless_it_is_the_one_that_the_gateway_verified() -> None:
    gateway = {**GATEWAY, "credential_headers": ["authorization"]}
    settings = {"gateway": gateway, "api_keys": {**API_KEYS, "also_headers": ["x-api-key"]}}
    outcome = check(settings, bearer(TOKEN), gateway=consumer())
    assert principal(outcome).method == "gateway"
    assert isinstance(outcome, Authenticated)
    assert "authorization" in outcome.remove_headers
    both = check(settings, bearer(TOKEN), ("x-api-key", KEY), gateway=consumer())
    assert code(both) is AuthCode.AMBIGUOUS_CREDENTIALS


@pytest.mark.parametrize("sub", [None, "", 5, ["ann"]])
def test_a_gateway_identity_needs_a_subject(sub: JSON) -> None:
    outcome = check({"gateway": GATEWAY}, gateway=GatewayIdentity("kong_consumer", {"sub": sub}))
    assert code(outcome) is AuthCode.MISSING_CLAIM


def test_the_gateway_subject_may_be_another_claim() -> None:
    settings = {"gateway": {**GATEWAY, "subject_claim": "consumer.username"}}
    outcome = check(settings, gateway=consumer(consumer={"username": "bob"}))
    assert principal(outcome).id == "bob"


# --- what must not go upstream ------------------------------------------------------------------


def test_the_credential_and_identity_headers_are_removed() -> None:
    outcome = check(BOTH, bearer(KEY))
    assert isinstance(outcome, Authenticated)
    assert outcome.remove_headers == ("authorization", *DEFAULT_STRIPPED)


def test_a_policy_may_forward_the_credential_but_not_by_accident() -> None:
    settings = {**BOTH, "forward_credentials": True, "strip_inbound_headers": ["x-team", "x-me-*"]}
    outcome = check(settings, bearer(KEY))
    assert isinstance(outcome, Authenticated)
    assert outcome.used_headers == ("authorization",)
    assert outcome.remove_headers == ("x-team", "x-me-*")


def test_anonymous_callers_lose_identity_headers_too() -> None:
    outcome = check({"allow_anonymous": True})
    assert isinstance(outcome, Authenticated)
    assert outcome.remove_headers == DEFAULT_STRIPPED


# --- what a policy may not say ------------------------------------------------------------------


def problems(settings: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        decode(IdentitySettings, settings, "identity")
    return caught.value.problems


def test_nobody_could_ever_call() -> None:
    (problem,) = problems({})
    assert problem.startswith("identity: expected at least one of jwt, api_keys, gateway")


def test_a_method_that_no_gateway_has() -> None:
    assert problems({"gateway": {"methods": ["envoy_jwt_authn", "kong_consumers"]}}) == (
        "identity.gateway.methods[1]: expected one of kong_consumer, envoy_jwt_authn,"
        " cloudflare_access; did you mean 'kong_consumer'?",
    )


def test_an_issuer_twice() -> None:
    assert problems({"jwt": [JWT, JWT]}) == (
        "identity.jwt[1].issuer: the same issuer and header as another entry",
    )
    decode(IdentitySettings, {"jwt": [JWT, {**JWT, "header": "x-token"}]})


@pytest.mark.parametrize("pattern", ["*", "x*", "x-*-y", "**", "x-**"])
def test_strip_patterns_have_one_star_at_their_end(pattern: str) -> None:
    (problem,) = problems({**BOTH, "strip_inbound_headers": [pattern]})
    assert "strip_inbound_headers[0]: expected a name or a prefix" in problem


@pytest.mark.parametrize("pattern", ["host", "content-*", "te", "Transfer-Encoding", "co*"])
def test_framing_headers_cannot_be_stripped(pattern: str) -> None:
    (problem,) = problems({**BOTH, "strip_inbound_headers": [pattern]})
    assert "a header that HTTP needs" in problem


def test_defaults_are_themselves_valid() -> None:
    settings = decode(IdentitySettings, {**BOTH, "strip_inbound_headers": list(DEFAULT_STRIPPED)})
    assert settings.strip_inbound_headers == DEFAULT_STRIPPED


def test_caches_of_key_servers_are_listed_for_the_host() -> None:
    published = {
        "issuer": "https://a.example",
        "jwks_uri": "https://a.example/jwks",
        "jwks_cache": {"ttl_s": 60},
    }
    caches = decode(IdentitySettings, {"jwt": [JWT, published]}).jwks_caches()
    assert {uri: cache.ttl_s for uri, cache in caches.items()} == {"https://a.example/jwks": 60}
