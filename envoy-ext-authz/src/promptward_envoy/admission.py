"""Bound how many exchanges a process works on, and know when none is left.

Over the bound a request is refused with a finished answer instead of queueing without limit.
Settlements that outlive their stream (the client is gone) are kept here too, so that a drain waits
for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from prometheus_client import Gauge


class OverloadedError(Exception):
    """Too much waits already; the request must be refused."""


class Admission:
    """Counter of exchanges in flight.

    Args:
        max_in_flight: bound, at least 1.
        gauge: shows the count.
    """

    def __init__(self, max_in_flight: int, gauge: Gauge) -> None:
        self._max = max_in_flight
        self._count = 0
        self._gauge = gauge
        self._pending: set[asyncio.Future[Any]] = set()

    @property
    def half(self) -> int:
        """What one kind of exchange may take of the bound, so that it leaves room for others."""
        return max(1, self._max // 2)

    def enter(self) -> bool:
        """Count one more exchange; whether it is within the bound. Always pair with `leave`."""
        self._count += 1
        self._gauge.set(self._count)
        return self._count <= self._max

    def leave(self) -> None:
        """The exchange is over."""
        self._count -= 1
        self._gauge.set(self._count)

    def wait_for(self, work: asyncio.Future[Any]) -> None:
        """Let a drain wait for `work`, which outlives the call that started it."""
        self._pending.add(work)
        work.add_done_callback(self._pending.discard)

    def settle_later(self, work: Coroutine[object, object, None]) -> None:
        """Run `work` to its end, whatever becomes of the caller."""
        self.wait_for(asyncio.ensure_future(work))

    async def settled(self) -> None:
        """Wait for all of it."""
        while self._pending:
            await asyncio.wait(tuple(self._pending))
