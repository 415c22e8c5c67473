"""Variables of the Worker."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from promptward.errors import PolicyError
from promptward_worker.settings import WorkerSettings, decode


def decoded(variables: Mapping[str, str]) -> WorkerSettings:
    return decode(variables.get)


def problems(variables: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        decoded(variables)
    return caught.value.problems


def test_only_the_upstream_is_required() -> None:
    settings = decoded({"UPSTREAM": "https://api.example.com/base/"})
    assert settings.upstream == "https://api.example.com/base"
    assert settings == WorkerSettings(upstream="https://api.example.com/base")


@pytest.mark.parametrize("value", ["route", "binding"])
def test_the_origin_may_be_the_route_or_a_binding(value: str) -> None:
    assert decoded({"UPSTREAM": value}).upstream == value


@pytest.mark.parametrize(
    "value",
    ["", "api.example.com", "ftp://a", "https://", "https://u:p@a", "https://a?x=1", "https://a#f"],
)
def test_an_upstream_that_nobody_chose_is_refused(value: str) -> None:
    assert problems({"UPSTREAM": value})[0].startswith("UPSTREAM:")


def test_every_mistake_is_reported_at_once() -> None:
    found = problems(
        {
            "UPSTREAM_TIMEOUT_S": "soon",
            "POLICY_REFRESH_S": "0",
            "POLICY_KEY": "a/b",
            "LEDGER_SHARDS": '{"acme": 65}',
            "UPSTREAM_API_KEY_HEADER": "X Key",
            "ACCESS_AUDIENCE": "aud",
        }
    )
    assert [problem.split(":")[0] for problem in found] == [
        "UPSTREAM",
        "UPSTREAM_API_KEY_HEADER",
        "UPSTREAM_TIMEOUT_S",
        "POLICY_KEY",
        "POLICY_REFRESH_S",
        "LEDGER_SHARDS",
        "ACCESS_TEAM_DOMAIN and ACCESS_AUDIENCE",
    ]


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e9"])
def test_a_timeout_is_a_finite_number_in_its_bounds(value: str) -> None:
    assert problems({"UPSTREAM": "route", "LEDGER_TIMEOUT_S": value})


@pytest.mark.parametrize("value", ["[]", "nonsense", '{"a": "2"}', '{"a": true}', '{"a": 0}'])
def test_shards_map_tenants_to_small_counts(value: str) -> None:
    assert problems({"UPSTREAM": "route", "LEDGER_SHARDS": value})


def test_the_access_team_is_an_https_origin() -> None:
    found = {"UPSTREAM": "route", "ACCESS_AUDIENCE": "tag"}
    team = decoded({**found, "ACCESS_TEAM_DOMAIN": "acme.cloudflareaccess.com"})
    assert team.access_team_domain == "https://acme.cloudflareaccess.com"
    for wrong in ("http://acme.cloudflareaccess.com", "acme/cdn-cgi", "https://u@a"):
        assert problems({**found, "ACCESS_TEAM_DOMAIN": wrong})


def test_the_upstream_key_never_shows() -> None:
    settings = decoded({"UPSTREAM": "route", "UPSTREAM_API_KEY": "sk-canary"})
    assert settings.upstream_api_key == "sk-canary"
    assert "canary" not in repr(settings)
