"""A clock that a test moves by hand."""

from __future__ import annotations


class SteppedClock:
    """Clock port that only moves when told to; `step` may be negative."""

    __slots__ = ("_now_us",)

    def __init__(self, now_s: int = 1_750_000_000) -> None:
        self._now_us = now_s * 1_000_000

    def now_s(self) -> float:
        """Unix time in seconds."""
        return self._now_us / 1_000_000

    def step(self, seconds: float) -> None:
        """Move by `seconds`."""
        self._now_us += round(seconds * 1_000_000)
