"""Laws of the ledger against the plain definition of each window, kept as a log of real use.

The log knows every charge with its time and its latest known amount, and sums it by definition. The
ledger must never admit what the definition forbids; where it promises exactness, it must equal it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from promptward.ledger import fixed_bounds
from promptward.ports import BudgetLine, ReserveOutcome, Window, WindowType
from promptward.testing.ledgers import LedgerDriver, budget_line
from promptward.testing.stepped_clock import SteppedClock
from promptward_ports.ledgers.memory import MemoryLedger

Step = tuple[str, float, int]
Check = Callable[["Log", int, ReserveOutcome], None]
LIMIT = 100
TTL_S = 50


@dataclass
class Charge:
    """One granted request: when, how much it is known to have used, and whether it still runs."""

    time_us: int
    amount: int
    open: bool = True


steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0, 60).map(lambda s: round(s, 6)), st.just(0)),
        st.tuples(st.just("reserve"), st.integers(0, 60), st.just(0)),
        st.tuples(st.just("charge"), st.integers(0, 60), st.just(0)),
        st.tuples(st.just("settle"), st.integers(0, 30), st.integers(0, 90)),
    ),
    max_size=60,
)


class Log:
    """A memory ledger beside the log of what it granted."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.clock = SteppedClock()
        self.driver = LedgerDriver("memory", lambda: MemoryLedger(self.clock), self.clock, False)
        self.charges: list[Charge] = []

    @property
    def now_us(self) -> int:
        return round(self.clock.now_s() * 1_000_000)

    def line(self, amount: int) -> BudgetLine:
        return budget_line(limit=LIMIT, amount=amount, window=self.window)

    def expire(self) -> None:
        for charge in self.charges:
            if charge.time_us + TTL_S * 1_000_000 <= self.now_us:
                charge.open = False

    def play(self, script: list[Step], check: Check) -> None:
        for step, value, actual in script:
            if step == "wait":
                self.clock.step(value)
                self.expire()
            elif step == "reserve":
                self.reserve(int(value), check)
            elif step == "charge":
                charge_now = self.window.type != "concurrent"
                self.reserve(int(value), check, charge_now=charge_now)
            else:
                self.settle(int(value), actual)

    def reserve(self, amount: int, check: Check, *, charge_now: bool = False) -> None:
        request_id = f"r{len(self.charges)}"
        outcome = self.driver.reserve(
            request_id, self.line(amount), ttl_s=TTL_S, charge_now=charge_now
        )
        check(self, amount, outcome)
        if outcome.granted:
            self.charges.append(Charge(self.now_us, amount, open=not charge_now))

    def settle(self, which: int, actual: int) -> None:
        if which < len(self.charges) and self.driver.settle(f"r{which}", tokens=actual):
            self.charges[which].amount = actual
            self.charges[which].open = False


def used_by_definition(log: Log) -> Fraction:
    """What counts at this moment, by the textbook definition of the window."""
    now, window = log.now_us, log.window
    duration_us = window.duration_s * 1_000_000
    if window.type == "fixed":
        first, _ = fixed_bounds(window, now)
        return Fraction(sum(c.amount for c in log.charges if c.time_us >= first))
    if window.type == "sliding":
        return Fraction(sum(c.amount for c in log.charges if c.time_us > now - duration_us))
    if window.type == "concurrent":
        return Fraction(sum(c.amount for c in log.charges if c.open))
    level, since = Fraction(0), 0
    for charge in log.charges:
        refilled = Fraction((charge.time_us - since) * LIMIT, duration_us)
        level, since = max(Fraction(0), level - refilled) + charge.amount, charge.time_us
    return max(Fraction(0), level - Fraction((now - since) * LIMIT, duration_us))


def admits_only_what_fits(log: Log, amount: int, outcome: ReserveOutcome) -> None:
    if outcome.granted:
        assert used_by_definition(log) + amount <= LIMIT


def admits_exactly_what_fits(log: Log, amount: int, outcome: ReserveOutcome) -> None:
    fits = used_by_definition(log) + amount <= LIMIT
    assert outcome.granted == fits


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from([Window("fixed", 60), Window("fixed", 86_400, "Asia/Kathmandu")]))
def test_a_fixed_window_admits_exactly_what_fits(script: list[Step], window: Window) -> None:
    Log(window).play(script, admits_exactly_what_fits)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_concurrency_admits_exactly_what_fits(script: list[Step]) -> None:
    Log(Window("concurrent", 60)).play(script, admits_exactly_what_fits)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_a_sliding_window_admits_only_what_fits(script: list[Step]) -> None:
    Log(Window("sliding", 64)).play(script, admits_only_what_fits)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_a_sliding_window_holds_a_charge_one_slice_too_long_at_most(
    script: list[Step],
) -> None:
    def check(log: Log, amount: int, outcome: ReserveOutcome) -> None:
        slice_us = log.window.duration_s * 1_000_000 // 32
        longest = log.now_us - log.window.duration_s * 1_000_000 - slice_us
        used = sum(c.amount for c in log.charges if c.time_us > longest)
        assert outcome.granted or used + amount > LIMIT

    Log(Window("sliding", 64)).play(script, check)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_a_token_bucket_admits_only_what_fits(script: list[Step]) -> None:
    Log(Window("token_bucket", 40)).play(script, admits_only_what_fits)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_a_token_bucket_without_corrections_admits_exactly_what_fits(
    script: list[Step],
) -> None:
    script = [step for step in script if step[0] != "settle"]
    Log(Window("token_bucket", 40)).play(script, admits_exactly_what_fits)


class WaitTried(Exception):  # noqa: N818 (ends a run, not an error)
    """The first refusal that says when to come back."""


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from(["fixed", "sliding", "token_bucket"]))
def test_the_announced_wait_is_enough_and_not_too_long(
    script: list[Step], kind: WindowType
) -> None:
    log = Log(Window(kind, 64))

    def check(log: Log, amount: int, outcome: ReserveOutcome) -> None:
        wait_s = outcome.retry_after_s
        if wait_s is None:
            return
        log.clock.step(wait_s - 0.000001)
        assert not log.driver.reserve("early", log.line(amount)).granted
        log.clock.step(0.000001)
        assert log.driver.reserve("in time", log.line(amount)).granted
        raise WaitTried

    with suppress(WaitTried):
        log.play(script, check)
