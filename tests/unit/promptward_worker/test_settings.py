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


TOKEN = "a-token-of-some-length"


@pytest.mark.parametrize(
    "url",
    [
        "https://ledger.example.com",
        "https://ledger.example.com:8443/promptward/",
        "http://127.0.0.1:9920",
        "http://10.1.2.3:9920",
        "http://[fd00::1]:9920",
        "http://promptward-a:9920",
    ],
)
def test_a_shared_ledger_has_an_address_and_a_token(url: str) -> None:
    settings = decoded({"UPSTREAM": "route", "LEDGER_URL": url, "LEDGER_TOKEN": TOKEN})
    assert settings.ledger_url == url.rstrip("/")
    assert settings.ledger_token == TOKEN
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "http://ledger.example.com",
        "http://8.8.8.8",
        "ledger.example.com",
        "https://",
        "https://u:p@ledger.example.com",
        "https://ledger.example.com?x=1",
        "https://ledger.example.com:x",
        "ftp://127.0.0.1",
    ],
)
def test_a_ledger_address_that_others_can_listen_to_is_refused(url: str) -> None:
    found = problems({"UPSTREAM": "route", "LEDGER_URL": url, "LEDGER_TOKEN": TOKEN})
    assert [problem.split(":")[0] for problem in found] == ["LEDGER_URL"]


def test_a_shared_ledger_needs_both_and_takes_no_shards() -> None:
    both = "LEDGER_URL and LEDGER_TOKEN: set both or neither"
    assert problems({"UPSTREAM": "route", "LEDGER_URL": "https://a.example"}) == (both,)
    assert problems({"UPSTREAM": "route", "LEDGER_TOKEN": TOKEN}) == (both,)
    shared = {"UPSTREAM": "route", "LEDGER_URL": "https://a.example", "LEDGER_TOKEN": TOKEN}
    assert problems({**shared, "LEDGER_SHARDS": '{"a": 2}'})[0].startswith("LEDGER_SHARDS")
    assert problems({**shared, "LEDGER_TOKEN": "short"})[0].startswith("LEDGER_TOKEN")
    assert problems({**shared, "LEDGER_TOKEN": TOKEN + "\n"})[0].startswith("LEDGER_TOKEN")
