"""What happens to reservations and settlements while the store is away, and afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from promptward.errors import PortError
from promptward.ports import (
    BudgetLine,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
)
from promptward.sync import run_sync
from promptward.testing.ledgers import budget_line
from promptward.testing.stepped_clock import SteppedClock
from promptward_ports.breaker import CircuitBreaker
from promptward_ports.ledgers import resilient
from promptward_ports.ledgers.memory import MemoryLedger
from promptward_ports.ledgers.resilient import ResilientLedger


class Unsteady(MemoryLedger):
    """A store that fails on demand: before doing the work, or after it (the answer is lost)."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: str = ""
        self.asked = 0

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        self._maybe("before")
        outcome = await super().reserve(request)
        self._maybe("after")
        return outcome

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        self._maybe("before")
        states = await super().settle(request)
        self._maybe("after")
        return states

    def _maybe(self, when: str) -> None:
        self.asked += when == "before"
        if self.fails == when:
            raise PortError("ledger", "away")


@dataclass
class Rig:
    store: Unsteady = field(default_factory=Unsteady)
    clock: SteppedClock = field(default_factory=SteppedClock)

    def __post_init__(self) -> None:
        self.ledger = ResilientLedger(
            self.store, breaker=CircuitBreaker(2, 1.0), monotonic_s=self.clock.now_s
        )

    def reserve(
        self, request_id: str, *lines: BudgetLine, ttl_s: int = 60, charge_now: bool = False
    ) -> ReserveOutcome:
        request = ReserveRequest(request_id, "t", lines, ttl_s, charge_now)
        return run_sync(self.ledger.reserve(request))

    def settle(self, request_id: str, **amounts: int) -> tuple[LineState, ...]:
        return run_sync(self.ledger.settle(SettleRequest(request_id, "t", amounts)))

    def come_back(self) -> None:
        self.store.fails = ""
        self.clock.step(1)

    def booked(self) -> dict[str, tuple[int, str]]:
        entries = run_sync(self.store.entries())
        return {entry.request_id: (entry.amount, entry.state) for entry in entries}


@pytest.fixture
def rig() -> Rig:
    return Rig()


def share(percent: int = 50, **kwargs: Any) -> BudgetLine:
    from dataclasses import replace

    return replace(budget_line(**kwargs), local_percent=percent)


def test_a_store_that_answers_is_all_there_is(rig: Rig) -> None:
    assert rig.reserve("r", budget_line()).granted
    assert rig.settle("r", tokens=3)[0].spent == 3
    assert rig.booked() == {"r": (3, "settled")}
    assert not rig.ledger.undelivered


def test_without_a_local_share_the_failure_is_passed_on(rig: Rig) -> None:
    rig.store.fails = "before"
    with pytest.raises(PortError):
        rig.reserve("r", share(), budget_line("other"))


def test_a_settlement_the_store_missed_is_delivered_later(rig: Rig) -> None:
    rig.reserve("r1", budget_line(amount=40))
    rig.store.fails = "before"
    assert rig.settle("r1", tokens=7) == ()
    assert rig.ledger.undelivered == 1
    rig.come_back()
    rig.reserve("r2", budget_line())
    assert rig.booked()["r1"] == (7, "settled")
    assert rig.ledger.undelivered == 0


def test_a_settlement_whose_answer_was_lost_counts_once(rig: Rig) -> None:
    rig.reserve("r1", budget_line(amount=40))
    rig.store.fails = "after"
    rig.settle("r1", tokens=7)
    rig.come_back()
    assert run_sync(rig.ledger.deliver())
    assert rig.booked() == {"r1": (7, "settled")}


def test_the_local_share_is_granted_and_no_more(rig: Rig) -> None:
    rig.store.fails = "before"
    line = share(50, limit=100, amount=30)
    first, second = rig.reserve("r1", line), rig.reserve("r2", line)
    assert (first.granted, first.states[0].limit) == (True, 50)
    assert not second.granted


def test_the_strictest_line_needs_a_share_too_but_soft_ones_do_not(rig: Rig) -> None:
    rig.store.fails = "before"
    assert rig.reserve("r1", share(), budget_line("soft", soft=True)).granted


def test_local_use_is_booked_at_the_store_afterwards(rig: Rig) -> None:
    rig.store.fails = "before"
    rig.reserve("r1", share(amount=30))
    assert rig.settle("r1", tokens=12)[0].spent == 12
    rig.come_back()
    assert run_sync(rig.ledger.deliver())
    assert rig.booked() == {"r1": (12, "settled")}
    (row,) = run_sync(rig.store.usage())
    assert (row.limit, row.spent, row.reserved) == (100, 12, 0)


def test_local_use_is_booked_even_beyond_the_limit(rig: Rig) -> None:
    rig.reserve("full", share(limit=100, amount=100))
    rig.settle("full", tokens=100)
    rig.store.fails = "before"
    assert rig.reserve("r1", share(limit=100, amount=30)).granted
    rig.settle("r1", tokens=30)
    rig.come_back()
    run_sync(rig.ledger.deliver())
    (row,) = run_sync(rig.store.usage())
    assert row.spent == 130


def test_a_reservation_whose_answer_was_lost_is_not_booked_twice(rig: Rig) -> None:
    rig.store.fails = "after"
    assert rig.reserve("r1", share(amount=30)).granted
    rig.settle("r1", tokens=12)
    rig.come_back()
    run_sync(rig.ledger.deliver())
    (row,) = run_sync(rig.store.usage())
    assert (row.spent, row.reserved) == (12, 0)


def test_a_local_grant_repeats_its_outcome(rig: Rig) -> None:
    rig.store.fails = "before"
    first = rig.reserve("r1", share(amount=30))
    rig.come_back()
    assert rig.reserve("r1", share(amount=30)) == first


def test_a_local_grant_never_settled_is_booked_as_estimated(rig: Rig) -> None:
    rig.store.fails = "before"
    rig.reserve("r1", share(amount=30), ttl_s=10)
    rig.come_back()
    rig.clock.step(10)
    assert run_sync(rig.ledger.deliver())
    assert rig.booked() == {"r1": (30, "open")}  # open at the store, whose own ttl now runs


def test_what_was_charged_at_once_locally_is_booked_when_the_store_is_back(rig: Rig) -> None:
    rig.store.fails = "before"
    (state,) = rig.reserve("r1", share(amount=30), charge_now=True).states
    assert (state.spent, state.reserved) == (30, 0)
    rig.come_back()
    rig.reserve("r2", budget_line())  # takes it along
    assert rig.booked() == {"r1": (30, "settled"), "r2": (10, "open")}
    assert rig.settle("r1", tokens=12)[0].spent == 12
    assert rig.booked()["r1"] == (12, "settled")
    assert not rig.ledger.undelivered


@pytest.mark.parametrize("rejected", [0, 1, 2])
def test_a_correction_waits_with_what_it_corrects(rig: Rig, rejected: int) -> None:
    rig.store.fails = "before"
    rig.reserve("r1", share(amount=30), charge_now=True)
    for _ in range(rejected):
        rig.clock.step(1)
        assert not run_sync(rig.ledger.deliver())
    assert rig.settle("r1", tokens=0)[0].spent == 0
    rig.settle("r1", tokens=9)  # the first counts
    assert rig.ledger.undelivered == 1
    rig.come_back()
    assert run_sync(rig.ledger.deliver())
    assert rig.booked() == {"r1": (0, "settled")}


def test_an_open_circuit_does_not_ask_the_store(rig: Rig) -> None:
    rig.store.fails = "before"
    for number in range(5):
        with pytest.raises(PortError):
            rig.reserve(f"r{number}", budget_line())
    assert rig.store.asked == 2
    assert rig.ledger.degraded
    rig.come_back()
    assert rig.reserve("again", budget_line()).granted
    assert not rig.ledger.degraded


def test_a_bad_request_does_not_open_the_circuit(rig: Rig) -> None:
    for _ in range(5):
        with pytest.raises(PortError):
            rig.reserve("r", budget_line(amount=-1))
    assert not rig.ledger.degraded


def test_a_full_queue_passes_the_failure_on(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resilient, "QUEUE_AT_MOST", 1)
    rig.reserve("r1", budget_line())
    rig.reserve("r2", budget_line())
    rig.store.fails = "before"
    rig.settle("r1", tokens=1)
    with pytest.raises(PortError):
        rig.settle("r2", tokens=1)
    with pytest.raises(PortError):
        rig.reserve("r3", share())


def test_closing_delivers_first(rig: Rig) -> None:
    rig.reserve("r1", budget_line())
    rig.store.fails = "before"
    rig.settle("r1", tokens=4)
    rig.come_back()
    run_sync(rig.ledger.close())
    assert rig.booked() == {"r1": (4, "settled")}


class Suspending(Unsteady):
    """A store whose settlements, while they hang, end only with their caller."""

    hangs = False

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        if self.hangs:
            await asyncio.Event().wait()
        return await super().settle(request)


async def given_up(work: Coroutine[Any, Any, object]) -> None:
    """Run `work` until it waits, then cancel it."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_caller_that_leaves_while_it_delivers_for_others_loses_nothing_of_theirs() -> None:
    """Its deadline, or the client gone: settlements of other requests ride with its call."""
    rig = Rig(store := Suspending())
    rig.reserve("r1", budget_line(amount=10))
    store.fails = "before"
    rig.settle("r1", tokens=3)
    rig.come_back()
    store.hangs = True
    request = ReserveRequest("r2", "t", (budget_line(amount=1),), 60)
    asyncio.run(given_up(rig.ledger.reserve(request)))
    store.hangs = False
    assert rig.ledger.undelivered == 1
    assert run_sync(rig.ledger.deliver())
    assert rig.booked()["r1"] == (3, "settled")


def test_settlement_whose_caller_gives_up_is_delivered_later() -> None:
    rig = Rig(store := Suspending())
    rig.reserve("r1", budget_line(amount=10))
    store.hangs = True
    asyncio.run(given_up(rig.ledger.settle(SettleRequest("r1", "t", {"tokens": 3}))))
    store.hangs = False
    assert run_sync(rig.ledger.deliver())
    assert rig.booked()["r1"] == (3, "settled")
