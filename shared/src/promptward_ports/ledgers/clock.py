"""The host's wall clock as integer microseconds."""

from __future__ import annotations

import time

from promptward.ports import Clock


class HostClock:
    """`time.time` behind the Clock port."""

    __slots__ = ()

    def now_s(self) -> float:
        """Unix time in seconds."""
        return time.time()


def now_us(clock: Clock) -> int:
    """The clock's time in whole microseconds."""
    return int(clock.now_s() * 1_000_000)
