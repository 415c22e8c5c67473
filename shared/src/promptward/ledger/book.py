"""The ledger itself: reserve, settle, expire and forget, over any shelf that keeps rows.

Invariants: sans-IO (`now_us` is passed in and a shelf's methods are plain calls inside one
transaction of its store); all lines of a request are charged or none; each request is charged once
and corrected once. The memory, SQLite and Durable Object stores run exactly this code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from promptward.errors import PortError
from promptward.ledger import windows
from promptward.ledger.bounds import check_reserve, check_settle
from promptward.ledger.bucket import Bucket
from promptward.ledger.calendar_windows import SECOND_US
from promptward.ledger.keys import bucket_key
from promptward.ledger.reservation import Hold, Reservation, State
from promptward.ledger.windows import Level
from promptward.ports import (
    BudgetLine,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
    UsageRow,
)

RETENTION_S = 900
"""How long a closed reservation is remembered: duplicates and late settlements come within minutes
(the longest common upstream timeout is 600 s)."""

SWEEP_AT_MOST = 64
"""Rows looked after per operation: each adds at most one, so the sweep always keeps up."""


class Shelf(Protocol):
    """Rows of one store, inside one transaction."""

    def load_bucket(self, key: str) -> Bucket | None: ...

    def save_bucket(self, bucket: Bucket, forget_us: int) -> None:
        """Keep the bucket at least until `forget_us`."""
        ...

    def load_reservation(self, tenant: str, request_id: str) -> Reservation | None: ...

    def save_reservation(self, reservation: Reservation) -> None: ...

    def due(self, now_us: int, at_most: int) -> Sequence[Reservation]:
        """Reservations with `due_us <= now_us`, the longest due first."""
        ...

    def drop_reservation(self, reservation: Reservation) -> None: ...

    def drop_buckets(self, now_us: int, at_most: int) -> None:
        """Forget buckets whose `forget_us` has passed."""
        ...


class Book:
    """Operations on a shelf. Args: `retention_s` as RETENTION_S, 1 or more."""

    __slots__ = ("retention_us",)

    def __init__(self, retention_s: int = RETENTION_S) -> None:
        self.retention_us = retention_s * SECOND_US

    def reserve(self, shelf: Shelf, request: ReserveRequest, now_us: int) -> ReserveOutcome:
        """Reserve every line or none; a known id gets its first outcome again.

        Raises:
            PortError: the request is out of bounds.
        """
        check_reserve(request)
        self.sweep(shelf, now_us)
        known = self._known(shelf, request.tenant, request.request_id, now_us)
        if known is not None:
            return known.outcome()
        rolled = [self._rolled(shelf, request.tenant, line, now_us) for line in request.lines]
        refused = _strictest(request.lines, rolled)
        if refused is not None:
            index, wait = refused
            states = tuple(
                line_state(bucket, windows.weigh(bucket, present)) for bucket, present in rolled
            )
            return ReserveOutcome(False, states, index, None if wait is None else wait / SECOND_US)
        open_us = 0 if request.charge_now else request.ttl_s * SECOND_US
        holds = [
            self._hold(shelf, line, bucket, present, open_us)
            for line, (bucket, present) in zip(request.lines, rolled, strict=True)
        ]
        state: State = "charged" if request.charge_now else "open"
        due_us = now_us + (open_us or self.retention_us)
        reservation = Reservation(request.tenant, request.request_id, state, due_us, holds)
        shelf.save_reservation(reservation)
        return reservation.outcome()

    def settle(self, shelf: Shelf, request: SettleRequest, now_us: int) -> tuple[LineState, ...]:
        """Replace estimates by real use; an unknown or settled id is ignored.

        Sweeping is left to `reserve`: each adds one row and looks after many.

        Raises:
            PortError: the request is out of bounds.
        """
        check_settle(request)
        reservation = self._known(shelf, request.tenant, request.request_id, now_us)
        if reservation is None or reservation.state == "settled":
            return ()
        late = reservation.state != "open"
        states: list[LineState] = []
        for hold in reservation.holds:
            actual = request.amounts.get(hold.budget, 0)
            states += self._settle_hold(shelf, hold, actual, now_us, late=late)
            hold.amount = actual
        reservation.state = "settled"
        reservation.due_us = now_us + self.retention_us
        shelf.save_reservation(reservation)
        return tuple(states)

    def sweep(self, shelf: Shelf, now_us: int, at_most: int = SWEEP_AT_MOST) -> int:
        """Expire what was never settled and forget what is long over; returns how many rows."""
        due = shelf.due(now_us, at_most)
        for reservation in due:
            if reservation.state == "open":
                self._expire(shelf, reservation, now_us)
            else:
                shelf.drop_reservation(reservation)
        if due:
            shelf.drop_buckets(now_us, at_most)
        return len(due)

    def _known(self, shelf: Shelf, tenant: str, request_id: str, now_us: int) -> Reservation | None:
        """The reservation as of now, also when the sweep has not come to it yet."""
        reservation = shelf.load_reservation(tenant, request_id)
        if reservation is None or now_us < reservation.due_us:
            return reservation
        if reservation.state == "open":
            self._expire(shelf, reservation, now_us)
            return reservation
        shelf.drop_reservation(reservation)
        return None

    def _rolled(
        self, shelf: Shelf, tenant: str, line: BudgetLine, now_us: int
    ) -> tuple[Bucket, int]:
        key = bucket_key(tenant, line.budget, line.partition, line.unit, line.window)
        bucket = shelf.load_bucket(key)
        if bucket is None:
            bucket = Bucket(key, tenant, line.budget, line.partition, line.unit, line.window)
        bucket.limit = line.limit
        era = bucket.era
        try:
            present = windows.roll(bucket, now_us)
        except ValueError as error:
            raise PortError("ledger", str(error)) from error
        if bucket.era != era:
            # Also when the request is refused, or each refusal would move the use to a new present.
            self._save(shelf, bucket)
        return bucket, present

    def _hold(
        self, shelf: Shelf, line: BudgetLine, bucket: Bucket, present: int, open_us: int
    ) -> Hold:
        slot_id = windows.charge(bucket, present, line.amount, is_open=open_us > 0)
        # A token bucket's charge is dated: what refilled since then is not given back.
        if line.window.type == "token_bucket":
            slot_id = present
        self._save(shelf, bucket, open_us)
        level = windows.weigh(bucket, present)
        return Hold(
            bucket.key,
            line.budget,
            line.partition,
            line.unit,
            line.amount,
            slot_id,
            bucket.era,
            level.limit,
            level.spent,
            level.reserved,
            level.reset_us,
        )

    def _settle_hold(
        self, shelf: Shelf, hold: Hold, actual: int, now_us: int, *, late: bool
    ) -> list[LineState]:
        bucket = shelf.load_bucket(hold.bucket)
        if bucket is None:
            return []
        present = windows.roll(bucket, now_us, None)
        if hold.era == bucket.era:
            replace = windows.correct if late else windows.settle
            replace(bucket, present, hold.slot_id, hold.amount, actual)
            self._save(shelf, bucket)
        return [line_state(bucket, windows.weigh(bucket, present))]

    def _expire(self, shelf: Shelf, reservation: Reservation, now_us: int) -> None:
        for hold in reservation.holds:
            bucket = shelf.load_bucket(hold.bucket)
            if bucket is None:
                continue
            windows.roll(bucket, now_us, None)
            if hold.era == bucket.era:
                windows.expire(bucket, hold.slot_id, hold.amount)
                self._save(shelf, bucket)
        reservation.state = "expired"
        reservation.due_us = now_us + self.retention_us
        shelf.save_reservation(reservation)

    def _save(self, shelf: Shelf, bucket: Bucket, open_us: int = 0) -> None:
        # As long as a reservation may still be settled its bucket must answer.
        needed_us = bucket.seen_us + open_us + self.retention_us
        shelf.save_bucket(bucket, max(windows.quiet_us(bucket), needed_us))


def line_state(bucket: Bucket, level: Level) -> LineState:
    """The bucket as the port reports it."""
    return LineState(
        bucket.budget,
        bucket.partition,
        bucket.unit,
        level.limit,
        level.spent,
        level.reserved,
        level.reset_us / SECOND_US,
    )


def usage_row(bucket: Bucket, now_us: int) -> UsageRow:
    """The bucket as an operator sees it."""
    level = windows.weigh(bucket, windows.roll(bucket, now_us, None))
    return UsageRow(
        bucket.key,
        bucket.tenant,
        bucket.budget,
        bucket.partition,
        bucket.unit,
        bucket.window,
        level.limit,
        level.spent,
        level.reserved,
        level.reset_us / SECOND_US,
    )


def forget_spending(bucket: Bucket) -> None:
    """Reset a bucket: only open reservations still count."""
    for slot in bucket.slots:
        slot.total = min(slot.total, slot.open)


def _strictest(
    lines: Sequence[BudgetLine], rolled: Sequence[tuple[Bucket, int]]
) -> tuple[int, int | None] | None:
    """Index and wait of the refusing line that takes longest; None when all fit."""
    worst: tuple[int, int | None] | None = None
    for index, (line, (bucket, present)) in enumerate(zip(lines, rolled, strict=True)):
        if line.soft:
            continue
        wait = windows.wait_us(bucket, present, line.amount)
        if wait is None:
            if worst is None or worst[1] is not None:
                worst = (index, None)
        elif wait > 0 and (worst is None or (worst[1] is not None and wait > worst[1])):
            worst = (index, wait)
    return worst
