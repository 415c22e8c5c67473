"""API keys: look-up by digest, expiry, and what a policy may not say."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from promptward.auth.api_keys import MAX_KEY_CHARACTERS, ApiKey, ApiKeySettings, ApiKeyTable
from promptward.auth.failure import AuthCode, AuthFailure
from promptward.decision import Principal
from promptward.errors import PolicyError
from promptward.policy.decode import decode

NOW_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def table(*keys: ApiKey) -> ApiKeyTable:
    return ApiKeyTable(keys)


def test_the_key_with_this_digest_is_its_owner() -> None:
    keys = table(ApiKey("app", digest("k1"), {"tier": "gold"}), ApiKey("ops", digest("k2")))
    assert keys.authenticate("k1", NOW_S) == Principal(
        "app", "api_key", {"sub": "app", "tier": "gold"}
    )
    assert keys.authenticate("k2", NOW_S) == Principal("ops", "api_key", {"sub": "ops"})


def test_the_subject_may_be_set_by_the_claims() -> None:
    principal = table(ApiKey("app", digest("k1"), {"sub": "team-7"})).authenticate("k1", NOW_S)
    assert isinstance(principal, Principal)
    assert principal.claims["sub"] == "team-7"


@pytest.mark.parametrize(
    "presented",
    ["", "K1", "k1 ", "k", "k11", digest("k1"), "x" * (MAX_KEY_CHARACTERS + 1), "\udce9", "é"],
)
def test_anything_else_is_unknown(presented: str) -> None:
    failure = table(ApiKey("app", digest("k1"))).authenticate(presented, NOW_S)
    assert isinstance(failure, AuthFailure)
    assert failure.code is AuthCode.UNKNOWN_API_KEY
    assert not presented or presented not in failure.message.split()


def test_the_longest_key() -> None:
    too_long = "x" * (MAX_KEY_CHARACTERS + 1)
    refused = table(ApiKey("app", digest(too_long))).authenticate(too_long, NOW_S)
    assert isinstance(refused, AuthFailure)
    longest = "x" * MAX_KEY_CHARACTERS
    assert isinstance(table(ApiKey("app", digest(longest))).authenticate(longest, NOW_S), Principal)


@pytest.mark.parametrize(
    "not_after",
    ["2027-01-15T08:00:00Z", "2027-01-15T09:00:00+01:00", "2027-01-15T08:00:00.000+00:00"],
)
def test_expiry_is_exact_and_knows_offsets(not_after: str) -> None:
    keys = table(ApiKey("app", digest("k1"), not_after=not_after))
    assert isinstance(keys.authenticate("k1", NOW_S - 0.001), Principal)
    expired = keys.authenticate("k1", NOW_S)
    assert isinstance(expired, AuthFailure)
    assert expired.code is AuthCode.API_KEY_EXPIRED


def problems(**settings: Any) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        decode(ApiKeySettings, settings, "api_keys")
    return caught.value.problems


GOOD = {"id": "app", "sha256": digest("k1")}


@pytest.mark.parametrize("not_after", ["tomorrow", "2027-01-15", "2027-01-15T08:00:00", ""])
def test_an_expiry_needs_an_offset(not_after: str) -> None:
    (problem,) = problems(keys=[{**GOOD, "not_after": not_after}])
    assert problem.startswith("api_keys.keys[0].not_after: expected a date-time with an offset")


def test_the_same_id_or_digest_twice_is_refused() -> None:
    again = {"id": "app", "sha256": digest("k1").upper()}
    assert problems(keys=[GOOD, again]) == (
        "api_keys.keys[1].id: the same as in another key",
        "api_keys.keys[1].sha256: the same as in another key",
    )


@pytest.mark.parametrize("sha256", ["", "k1", digest("k1")[:-1], "g" * 64])
def test_a_digest_is_64_hexadecimal_digits(sha256: str) -> None:
    (problem,) = problems(keys=[{"id": "app", "sha256": sha256}])
    assert "64 hexadecimal digits" in problem
    assert not sha256 or sha256 not in problem  # it may be the key itself, put in the wrong place


def test_no_keys_is_a_mistake() -> None:
    (problem,) = problems(keys=[])
    assert "1 or more items" in problem


def test_header_names_are_lower_cased_and_plain() -> None:
    settings = decode(
        ApiKeySettings, {"keys": [GOOD], "header": "X-API-Key", "also_headers": ["Api-Key"]}
    )
    assert settings.headers == ("x-api-key", "api-key")
    assert problems(keys=[GOOD], header="x-*")[0].endswith("a header name without '*'")
