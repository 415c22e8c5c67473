"""Settles requests whose end this server never saw: no response phase, no log phase.

That is a Kong worker that crashed, a server that stops, or more requests at once than tickets are
kept for. What such a request costs is unknown, so it is charged as its budgets' `on_disconnect`
says (by default the estimate) and recorded, with `end_unknown` as the way it ended.

Invariants: one job at a time, of at most `BATCH` tickets, so that requests under way always find a
lane; at most `MAX_WAITING` tickets wait. What does not fit, or fails, stays reserved: the ledger
charges it as estimated when the reservation expires, and the server's log says how many.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable

from promptward_kong.effects import Work, WorkError
from promptward_kong.events import Submit

_log = logging.getLogger(__name__)

BATCH = 32
# Ten times what one core settles in a second.
MAX_WAITING = 10_000
_DEADLINE_S = 30.0
_REPORT_EVERY_S = 10.0


class AbandonedRequests:
    """See the module docstring.

    Args:
        submit: hands a job to the workers.
        now_s: monotonic seconds.
    """

    def __init__(self, submit: Submit, now_s: Callable[[], float]) -> None:
        self._submit = submit
        self._now_s = now_s
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._running = 0
        self._settled = 0
        self._left: Counter[str] = Counter()
        self._report_s = float("-inf")

    @property
    def idle(self) -> bool:
        """Whether nothing is left to settle."""
        return not self._waiting and not self._running

    def add(self, instance: str, ticket: bytes) -> None:
        """Settle the request of `ticket`, soon."""
        if len(self._waiting) >= MAX_WAITING:
            self._left["too many at once"] += 1
            return
        self._waiting.append((instance, ticket))

    def run(self) -> None:
        """Hand the next batch over, unless one runs. To be called periodically."""
        self._report()
        if self._running or not self._waiting:
            return
        instance, _ = self._waiting[0]
        tickets: list[bytes] = []
        while self._waiting and self._waiting[0][0] == instance and len(tickets) < BATCH:
            tickets.append(self._waiting.popleft()[1])
        self._running = len(tickets)
        work = Work("abandoned", instance, tickets)
        self._submit(work, self._now_s() + _DEADLINE_S, self._done)

    def _done(self, result: object) -> None:
        count, self._running = self._running, 0
        if isinstance(result, WorkError):
            self._left[str(result)] += count
        else:
            self._settled += count
        self.run()

    def _report(self) -> None:
        """Say what became of them, now and then: there may be thousands."""
        if not (self._settled or self._left) or self._now_s() < self._report_s:
            return
        self._report_s = self._now_s() + _REPORT_EVERY_S
        if self._settled:
            _log.warning("settled %d requests whose end was not seen", self._settled)
        for why, count in self._left.items():
            _log.error("%d requests are left to the ledger to charge: %s", count, why)
        self._settled = 0
        self._left.clear()
