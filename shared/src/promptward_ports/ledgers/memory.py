"""A ledger in the process's memory: for tests, single-process trials and as a fallback.

Invariants: bounded (`MAX_ROWS` reservations, then it refuses); forgets everything at exit. Methods
are `async` by contract and never suspend. Safe to use from several threads.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Sequence

from promptward.errors import PortError
from promptward.ledger import Book, Bucket, Reservation, copy_of, forget_spending, usage_row
from promptward.ledger.book import RETENTION_S
from promptward.ledger.bounds import check_raise
from promptward.ports import (
    Clock,
    LedgerEntry,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
    UsageRow,
)
from promptward_ports.ledgers.clock import HostClock, now_us

MAX_ROWS = 1_000_000
"""About 1 GiB: 15 minutes of remembered requests at 1000 a second."""


class MemoryShelf:
    """Rows in dictionaries. A heap holds one entry per row, at or before the row's real time."""

    __slots__ = ("_bucket_heap", "_due_heap", "_forget_us", "buckets", "reservations")

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.reservations: dict[tuple[str, str], Reservation] = {}
        self._forget_us: dict[str, int] = {}
        self._due_heap: list[tuple[int, tuple[str, str]]] = []
        self._bucket_heap: list[tuple[int, str]] = []

    def load_bucket(self, key: str) -> Bucket | None:
        bucket = self.buckets.get(key)
        return None if bucket is None else copy_of(bucket)  # a refusal must leave nothing behind

    def save_bucket(self, bucket: Bucket, forget_us: int) -> None:
        if bucket.key not in self._forget_us:
            heapq.heappush(self._bucket_heap, (forget_us, bucket.key))
        self.buckets[bucket.key] = bucket
        self._forget_us[bucket.key] = max(forget_us, self._forget_us.get(bucket.key, 0))

    def load_reservation(self, tenant: str, request_id: str) -> Reservation | None:
        return self.reservations.get((tenant, request_id))

    def save_reservation(self, reservation: Reservation) -> None:
        key = (reservation.tenant, reservation.request_id)
        if key not in self.reservations and len(self.reservations) >= MAX_ROWS:
            raise PortError("ledger", "the in-memory ledger is full")
        self.reservations[key] = reservation
        heapq.heappush(self._due_heap, (reservation.due_us, key))

    def due(self, now: int, at_most: int) -> Sequence[Reservation]:
        found: list[Reservation] = []
        heap = self._due_heap
        while heap and heap[0][0] <= now and len(found) < at_most:
            due_us, key = heapq.heappop(heap)
            reservation = self.reservations.get(key)
            if reservation is not None and reservation.due_us == due_us:
                found.append(reservation)
        return found

    def drop_reservation(self, reservation: Reservation) -> None:
        self.reservations.pop((reservation.tenant, reservation.request_id), None)

    def drop_buckets(self, now: int, at_most: int) -> None:
        heap = self._bucket_heap
        for _ in range(at_most):
            if not heap or heap[0][0] > now:
                return
            _, key = heapq.heappop(heap)
            forget_us = self._forget_us.get(key)
            if forget_us is None:
                continue
            if forget_us > now:
                heapq.heappush(heap, (forget_us, key))
            else:
                del self._forget_us[key], self.buckets[key]


class MemoryLedger:
    """BudgetLedger and LedgerAdmin in memory.

    Args:
        clock: what windows go by.
        retention_s: how long a closed reservation is remembered.
    """

    def __init__(self, clock: Clock | None = None, *, retention_s: int = RETENTION_S) -> None:
        self._clock = clock or HostClock()
        self._book = Book(retention_s)
        self._shelf = MemoryShelf()
        self._lock = threading.Lock()

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        with self._lock:
            return self._book.reserve(self._shelf, request, now_us(self._clock))

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        with self._lock:
            return self._book.settle(self._shelf, request, now_us(self._clock))

    async def usage(
        self, *, budget: str | None = None, containing: str = "", at_most: int = 1000
    ) -> tuple[UsageRow, ...]:
        with self._lock:
            now = now_us(self._clock)
            self._book.sweep(self._shelf, now)
            rows = [
                usage_row(copy_of(bucket), now)
                for bucket in self._shelf.buckets.values()
                if budget in (None, bucket.budget) and containing in bucket.partition
            ]
        rows.sort(key=lambda row: (row.budget, row.partition, row.bucket))
        return tuple(rows[:at_most])

    async def raise_limit(self, bucket: str, *, limit: int, for_s: int) -> bool:
        check_raise(limit, for_s)
        with self._lock:
            row = self._shelf.load_bucket(bucket)
            if row is None:
                return False
            row.raised_to = limit
            row.raised_until_us = now_us(self._clock) + for_s * 1_000_000
            self._shelf.save_bucket(row, row.raised_until_us)
            return True

    async def reset(self, bucket: str) -> bool:
        with self._lock:
            row = self._shelf.load_bucket(bucket)
            if row is None:
                return False
            forget_spending(row)
            self._shelf.save_bucket(row, 0)
            return True

    async def entries(self, *, at_most: int = 10_000) -> tuple[LedgerEntry, ...]:
        with self._lock:
            self._book.sweep(self._shelf, now_us(self._clock))
            rows = [e for r in self._shelf.reservations.values() for e in r.entries()]
        rows.sort(key=lambda entry: (entry.request_id, entry.budget, entry.partition))
        return tuple(rows[:at_most])

    async def close(self) -> None:
        """Nothing to release."""
