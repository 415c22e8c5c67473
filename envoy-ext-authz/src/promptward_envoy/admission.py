"""Bound how many exchanges a process works on, and know when none is left.

Over the bound a request is refused with a finished answer instead of queueing without limit.
Settlements that outlive their stream (the client is gone) are kept here too, so that a drain waits
for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from prometheus_client import Gauge


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
        self._settling: set[asyncio.Task[None]] = set()

    def enter(self) -> bool:
        """Count one more exchange; whether it is within the bound. Always pair with `leave`."""
        self._count += 1
        self._gauge.set(self._count)
        return self._count <= self._max

    def leave(self) -> None:
        """The exchange is over."""
        self._count -= 1
        self._gauge.set(self._count)

    def settle_later(self, work: Coroutine[object, object, None]) -> None:
        """Run `work` to its end even though its stream is being cancelled."""
        task = asyncio.get_running_loop().create_task(_as_coroutine(work))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def settled(self) -> None:
        """Wait for every settlement handed over."""
        while self._settling:
            await asyncio.wait(tuple(self._settling))


async def _as_coroutine(work: Coroutine[object, object, None]) -> None:
    await work
