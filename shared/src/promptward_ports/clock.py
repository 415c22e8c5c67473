"""The system's wall clock as the `Clock` port."""

from __future__ import annotations

import time


class SystemClock:
    """`promptward.ports.Clock` over `time.time`."""

    __slots__ = ()

    def now_s(self) -> float:
        """Unix time in seconds."""
        return time.time()
