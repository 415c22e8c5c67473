"""Driving a ledger from a test, whatever it is stored in: public, for stores of your own too.

`LedgerDriver` hides whether a ledger blocks or suspends and lets a test read as a transcript.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from promptward.ports import (
    BudgetLedger,
    BudgetLine,
    LedgerAdmin,
    LedgerEntry,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
    UsageRow,
    Window,
)
from promptward.sync import run_sync
from promptward.testing.stepped_clock import SteppedClock

T = TypeVar("T")
RETENTION_S = 900
"""What the stores under test are opened with."""


class DrivenLedger(BudgetLedger, LedgerAdmin, Protocol):
    """The port and its admin side in one."""


def budget_line(
    budget: str = "tokens",
    *,
    limit: int = 100,
    amount: int = 10,
    window: Window = Window("fixed", 3600),  # noqa: B008 (frozen)
    partition: str = "claim.sub=ann",
    soft: bool = False,
) -> BudgetLine:
    """A budget line with defaults a test may leave alone."""
    return BudgetLine(budget, partition, "total_tokens", limit, amount, window, soft)


@dataclass
class LedgerDriver:
    """A ledger under test, with short spellings of its operations.

    Args:
        open: opens the ledger; called again by `restart`.
        clock: the clock it goes by.
        durable: whether it survives `restart`.
        drive: runs one coroutine to its end.
    """

    name: str
    open: Callable[[], DrivenLedger]
    clock: SteppedClock
    durable: bool
    drive: Callable[[Coroutine[Any, Any, Any]], Any] = run_sync
    ledger: DrivenLedger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = self.open()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one call of the ledger."""
        result: T = self.drive(work)
        return result

    def reserve(
        self,
        request_id: str,
        *lines: BudgetLine,
        ttl_s: int = 60,
        tenant: str = "acme",
        charge_now: bool = False,
    ) -> ReserveOutcome:
        """Reserve `lines` for `request_id`."""
        request = ReserveRequest(request_id, tenant, lines, ttl_s, charge_now)
        return self.run(self.ledger.reserve(request))

    def settle(
        self, request_id: str, tenant: str = "acme", **amounts: int
    ) -> tuple[LineState, ...]:
        """Settle `request_id` to `amounts` per budget id."""
        return self.run(self.ledger.settle(SettleRequest(request_id, tenant, amounts)))

    def usage(self, *, budget: str | None = None, containing: str = "") -> tuple[UsageRow, ...]:
        """The admin view."""
        return self.run(self.ledger.usage(budget=budget, containing=containing))

    def entries(self) -> tuple[LedgerEntry, ...]:
        """Every charge still remembered."""
        return self.run(self.ledger.entries())

    def restart(self) -> None:
        """Close the ledger and open it again, as a new process would."""
        self.run(self.ledger.close())
        self.ledger = self.open()
