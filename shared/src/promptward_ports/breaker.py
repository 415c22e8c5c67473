"""A circuit breaker: stop asking a dependency that keeps failing, and try again with one probe.

Invariants: no clock is read (times are passed in, in seconds of any monotonic clock); while open,
at most one probe per `open_s` is let through. States: closed → open → half open → closed or open
(M. Nygard, "Release It!", 2nd edition, chapter 5).
"""

from __future__ import annotations


class CircuitBreaker:
    """Counts failures in a row.

    Args:
        failures: this many in a row open it.
        open_s: how long it stays open before a probe.
    """

    __slots__ = ("_failures", "_in_a_row", "_next_probe_s", "_open_s")

    def __init__(self, failures: int = 3, open_s: float = 1.0) -> None:
        self._failures = failures
        self._open_s = open_s
        self._in_a_row = 0
        self._next_probe_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the dependency counts as failed."""
        return self._in_a_row >= self._failures

    def allows(self, now_s: float) -> bool:
        """Whether to ask now; while open, one yes per `open_s`."""
        if not self.is_open:
            return True
        if now_s < self._next_probe_s:
            return False
        self._next_probe_s = now_s + self._open_s
        return True

    def succeeded(self) -> None:
        """The dependency answered."""
        self._in_a_row = 0

    def failed(self, now_s: float) -> None:
        """The dependency failed or timed out."""
        self._in_a_row += 1
        if self.is_open:
            self._next_probe_s = now_s + self._open_s
