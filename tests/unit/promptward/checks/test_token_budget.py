"""Budget settings and the rate-limit fields of answers."""

from __future__ import annotations

from typing import Any

import pytest

from promptward.checks.token_budget import NANO, BudgetSettings, rate_limit_headers
from promptward.errors import PolicyError
from promptward.policy.decode import decode
from promptward.ports import LineState, Window


def settings(**data: Any) -> BudgetSettings:
    return decode(BudgetSettings, {"id": "b", "limit": 100, **data})


def test_windows() -> None:
    fixed = settings(window={"type": "fixed", "duration": "1d", "timezone": "Europe/Berlin"})
    assert fixed.ledger_window() == Window("fixed", 86400, "Europe/Berlin")
    monthly = settings(window={"months": 1, "timezone": "America/New_York"})
    assert monthly.ledger_window() == Window("fixed", 2_629_800, "America/New_York", 1)
    concurrent = settings(unit="concurrent_requests", reservation={"ttl_s": 30})
    assert concurrent.ledger_window() == Window("concurrent", 30)


def test_amounts_are_exact_integers() -> None:
    assert settings().amount(100.0) == 100
    cost = settings(unit="cost_usd", limit=0.1)
    assert cost.amount(0.1) == NANO // 10
    assert cost.amount(123.456789) == 123_456_789_000


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"limit": 1.5}, "limit: expected a whole number of total_tokens"),
        ({"limit": -1}, "limit: expected a number, at least 0"),
        (
            {"partition_by": ["sub"]},
            "partition_by[0]: expected claim.PATH, principal, model or route",
        ),
        ({"unit": "dollars"}, "unit: expected one of"),
        ({"soft_limit": 2}, "soft_limit: expected a number, at least 0, at most 1"),
        ({"unit": "cost_usd", "limit": 5_000_000}, "limit: at most 4,000,000 USD can be counted"),
        ({"window": {"type": "sliding", "months": 1}}, "window.months: only fixed windows"),
        (
            {"window": {"duration": "0s"}},
            "window.duration: expected a duration, at least 1s, at most 31,622,400s, got 0",
        ),
        (
            {"window": {"timezone": "Europe/Belin"}},
            "window.timezone: expected an IANA time zone this host knows",
        ),
        (
            {"window": {"type": "sliding", "timezone": "../etc/passwd"}},
            "window.timezone: expected an IANA time zone this host knows",
        ),
        (
            {"partition_by": ["claims.sub"]},
            "partition_by[0]: expected claim.PATH, principal, model or route;"
            " did you mean 'claim.PATH'?",
        ),
    ],
)
def test_what_is_refused(data: dict[str, Any], problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        settings(**data)
    assert caught.value.problems[0].startswith(problem)


def state(name: str, unit: str, limit: int, used: int, reset_s: float = 59.2) -> LineState:
    return LineState(name, "p", unit, limit, used, 0, reset_s)


def test_headers_name_every_budget_and_the_tightest_of_each_kind() -> None:
    states = [
        state("day", "total_tokens", 1000, 100, 3_661),
        state("minute", "output_tokens", 200, 150),
        state("calls", "requests", 10, 1, 400),
        state("usd", "cost_usd", 5 * NANO, 2 * NANO + 1),
    ]
    windows = {"day": 86400, "minute": 60, "calls": 3600, "usd": 86400}
    assert rate_limit_headers(states, windows) == [
        (
            "ratelimit-policy",
            '"day";q=1000;w=86400, "minute";q=200;w=60, "calls";q=10;w=3600, "usd";q=5;w=86400',
        ),
        ("ratelimit", '"day";r=900;t=3661, "minute";r=50;t=60, "calls";r=9;t=400, "usd";r=2;t=60'),
        ("x-ratelimit-limit-requests", "10"),
        ("x-ratelimit-remaining-requests", "9"),
        ("x-ratelimit-reset-requests", "6m40s"),
        ("x-ratelimit-limit-tokens", "200"),
        ("x-ratelimit-remaining-tokens", "50"),
        ("x-ratelimit-reset-tokens", "60s".replace("60s", "1m0s")),
    ]


def test_no_budget_no_headers() -> None:
    assert rate_limit_headers([], {}) == []


@pytest.mark.parametrize(("seconds", "text"), [(0.1, "1s"), (60, "1m0s"), (3600, "1h0m0s")])
def test_reset_never_says_too_early(seconds: float, text: str) -> None:
    headers = dict(rate_limit_headers([state("b", "requests", 1, 1, seconds)], {"b": 60}))
    assert headers["x-ratelimit-reset-requests"] == text
