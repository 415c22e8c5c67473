"""Token budgets: which lines a request draws, what they settle to, and what the client is told.

The store is behind the `BudgetLedger` port; its arithmetic is `promptward.ledger`. Amounts are
integers: tokens, requests, or nano-USD for cost. OWASP LLM10, API4; MITRE ATLAS AML.T0034.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Literal

from promptward.checks.content import Mode
from promptward.exchange import JSON
from promptward.ledger.bounds import MAX_LIMIT
from promptward.ledger.calendar_windows import UnknownTimezoneError, timezone
from promptward.ports import LineState, Window
from promptward.settings import Kind, setting
from promptward.spelling import did_you_mean

Unit = Literal[
    "total_tokens",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_usd",
    "requests",
    "concurrent_requests",
]
NANO = 1_000_000_000
_MONTH_S = 2_629_800
COUNTED = frozenset({"requests", "concurrent_requests"})
_PARTITIONS = ("principal", "model", "route", "claim.PATH")


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """When a limit refills."""

    type: Literal["fixed", "sliding", "token_bucket"] = setting(
        "fixed (aligned to the calendar), sliding, or token_bucket.", default="fixed"
    )
    duration: int = setting(
        "Length of the window.", kind=Kind.DURATION, ge=1, le=366 * 86400, default=3600
    )
    months: int = setting(
        "Calendar months (from January) in place of the duration, for fixed windows; 0 for none.",
        ge=0,
        le=12,
        default=0,
    )
    timezone: str = setting(
        "IANA time zone that fixed windows are aligned to.", default="UTC", max_length=64
    )

    def problems(self) -> Iterable[tuple[str, str]]:
        try:
            timezone(self.timezone)
        except UnknownTimezoneError:  # found out later, every request would be a 503
            yield "timezone", 'expected an IANA time zone this host knows, like "Europe/Berlin"'


@dataclass(frozen=True, slots=True)
class ReservationSettings:
    """What is reserved before the upstream is called."""

    estimate: Literal["input_plus_max_output"] = setting(
        "How the estimate is made: counted input plus all the output that may come.",
        default="input_plus_max_output",
    )
    default_max_output: int = setting(
        "Output tokens assumed when the request has no cap of its own.",
        ge=0,
        le=10_000_000,
        default=1024,
    )
    tokens_per_opaque_part: int = setting(
        "Input tokens assumed for an image, file or audio part.", ge=0, le=1_000_000, default=1000
    )
    ttl_s: int = setting(
        "After this long an unsettled reservation counts as spent.",
        kind=Kind.DURATION,
        ge=1,
        le=86400,
        default=600,
    )


@dataclass(frozen=True, slots=True)
class OverrideSettings:
    """Another limit for principals with these claims; the first that matches counts."""

    when: Mapping[str, JSON] = setting(
        "Claim path -> matcher as in authorization rules; all must match.", min_length=1
    )
    limit: float = setting("The limit for them.", ge=0, le=MAX_LIMIT)


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """A limit on tokens, cost or requests per window and partition."""

    id: str = setting("Name of the budget in answers and audit.", kind=Kind.IDENTIFIER)
    limit: float = setting("How much fits in a window; USD for cost.", ge=0, le=MAX_LIMIT)
    partition_by: tuple[str, ...] = setting(
        "What each bucket belongs to: claim.PATH, principal, model or route; empty for one bucket.",
        default=("principal",),
        max_length=8,
    )
    unit: Unit = setting("What is counted.", default="total_tokens")
    window: WindowSettings = setting("When it refills.", default_factory=WindowSettings)
    models: tuple[str, ...] = setting("Model globs it applies to.", default=("*",), min_length=1)
    routes: tuple[str, ...] = setting("Route globs it applies to.", default=("*",), min_length=1)
    overrides: tuple[OverrideSettings, ...] = setting(
        "Other limits by claim.", default=(), max_length=64
    )
    reservation: ReservationSettings = setting(
        "How much is reserved up front.", default_factory=ReservationSettings
    )
    on_missing_usage: Literal["charge_estimate", "release"] = setting(
        "Charge when the upstream reports no usage.", default="charge_estimate"
    )
    on_disconnect: Literal["charge_estimate", "charge_delivered", "release"] = setting(
        "Charge when the client leaves before the usage is known.", default="charge_estimate"
    )
    soft_limit: float | None = setting(
        "Share of the limit (0..1) from which answers and audit carry a warning.",
        ge=0,
        le=1,
        default=None,
    )
    on_exceed: Literal["block", "flag"] = setting(
        "Refuse with 429, or only report.", default="block"
    )
    on_store_error: Literal["closed", "open", "local"] = setting(
        "When the store cannot answer: refuse, let pass uncounted, or grant a share of the limit"
        " in each process and reconcile afterwards (refused beyond it).",
        default="closed",
    )
    local_percent: int = setting(
        "Share of the limit that each process may grant by itself under on_store_error: local.",
        ge=1,
        le=100,
        default=10,
    )
    mode: Mode = setting("enforce, shadow (count and report only) or off.", default=Mode.ENFORCE)

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.unit != "cost_usd" and not float(self.limit).is_integer():
            yield "limit", f"expected a whole number of {self.unit}"
        if self.unit == "cost_usd" and self.limit * NANO > MAX_LIMIT:
            yield "limit", f"at most {MAX_LIMIT // NANO:,} USD can be counted"
        if self.window.months and self.window.type != "fixed":
            yield "window.months", "only fixed windows follow the calendar"
        for index, key in enumerate(self.partition_by):
            if key not in _PARTITIONS and not key.startswith("claim."):
                message = "expected claim.PATH, principal, model or route"
                yield f"partition_by[{index}]", message + did_you_mean(key, _PARTITIONS)

    def amount(self, limit: float) -> int:
        """`limit` in the ledger's integer unit."""
        return int(Decimal(str(limit)) * (NANO if self.unit == "cost_usd" else 1))

    def ledger_window(self) -> Window:
        """The window as the ledger takes it."""
        if self.unit == "concurrent_requests":
            return Window("concurrent", self.reservation.ttl_s)
        window = self.window
        # the length of a month is only told to clients: 30.44 days on average
        duration_s = window.months * _MONTH_S if window.months else window.duration
        return Window(window.type, duration_s, window.timezone, window.months)


def rate_limit_headers(
    states: Iterable[LineState], windows: Mapping[str, int]
) -> list[tuple[str, str]]:
    """RateLimit fields (draft-ietf-httpapi-ratelimit-headers-10) and OpenAI's x-ratelimit-*.

    Args:
        states: budgets after the last operation.
        windows: budget id -> window length in seconds.

    The x-ratelimit fields have room for one limit of tokens and one of requests: the one with the
    least remaining share is given.
    """
    policies, limits = [], []
    tokens: list[_Shown] = []
    requests: list[_Shown] = []
    for state in states:
        limit, remaining = state.limit, state.remaining
        seconds = _whole_seconds(state.reset_s)
        share = remaining / limit if limit else 0.0
        if state.unit == "cost_usd":
            limit, remaining = limit // NANO, remaining // NANO
        else:
            kind = requests if state.unit in COUNTED else tokens
            kind.append((share, limit, remaining, seconds))
        policies.append(f'"{state.budget}";q={limit};w={windows[state.budget]}')
        limits.append(f'"{state.budget}";r={remaining};t={seconds}')
    if not policies:
        return []
    headers = [("ratelimit-policy", ", ".join(policies)), ("ratelimit", ", ".join(limits))]
    for name, shown in (("requests", requests), ("tokens", tokens)):
        if shown:
            _, limit, remaining, seconds = min(shown, key=_share)
            headers += (
                (f"x-ratelimit-limit-{name}", str(limit)),
                (f"x-ratelimit-remaining-{name}", str(remaining)),
                (f"x-ratelimit-reset-{name}", _go_duration(seconds)),
            )
    return headers


_Shown = tuple[float, int, int, int]  # remaining share, limit, remaining, seconds until it refills
_share = itemgetter(0)


def _whole_seconds(seconds: float) -> int:
    return int(-(-seconds // 1))  # rounded up: never tell a client to come back too early


def _go_duration(seconds: int) -> str:
    # OpenAI writes Go durations: "1s", "6m0s", "1h0m0s"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
