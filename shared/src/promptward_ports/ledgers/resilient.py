"""A remote ledger that may go away: breaker, redelivered settlements, local degradation.

Invariants:
- A settlement is never dropped because the store was away or its caller gave up: it is queued and
  delivered when the store answers again. When the queue is full the store charges the estimate at
  expiry instead, so use may be over-counted, never lost.
- While the store is away, a request whose hard lines all allow it (`BudgetLine.local_percent`) is
  granted from this process's share of each limit; what it used is booked at the store afterwards,
  under the same request id, so that nothing is booked twice. What is charged at once is booked as
  soon as the store answers; a settlement that comes before goes along with it.
- Everything else raises PortError: the policy's `on_store_error` decides.

What is queued lives in this process: a process killed while the store is away takes its queue with
it (its open reservations are charged as estimated, its locally granted ones are lost).
A reservation whose answer got lost is not taken back, because another gateway may have been told
yes under the same id; it is charged as estimated when it expires.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from promptward.errors import PortError
from promptward.ledger.bounds import check_reserve, check_settle
from promptward.ports import (
    LedgerEntry,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
    UsageRow,
)
from promptward_ports.breaker import CircuitBreaker
from promptward_ports.ledgers.memory import MemoryLedger

if TYPE_CHECKING:
    from promptward_ports.ledgers import Ledger

QUEUE_AT_MOST = 10_000
"""Deliveries and local grants kept, about 10 MB; then the store's failure is passed on."""

DELIVER_WITH_EACH_CALL = 4
"""Queued deliveries sent along with a successful call: the queue shrinks four times as fast as it
grew, and no caller waits for more than four of them."""

Key = tuple[str, str]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the store still has to be told: a reservation it never saw, a settlement, or both."""

    reserve: ReserveRequest | None
    settle: SettleRequest | None

    def then(self, later: Delivery | None) -> Delivery:
        """Both as one; of two settlements the first counts."""
        if later is None:
            return self
        return Delivery(self.reserve or later.reserve, self.settle or later.settle)


@dataclass(frozen=True, slots=True)
class LocalGrant:
    """A request granted from the local share."""

    request: ReserveRequest
    expires_s: float


class ResilientLedger:
    """BudgetLedger and LedgerAdmin in front of a remote ledger.

    Args:
        primary: the remote ledger; bounds its own waits.
        breaker: when to stop asking it.
        monotonic_s: a clock that never steps back.
    """

    def __init__(
        self,
        primary: Ledger,
        *,
        breaker: CircuitBreaker | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._primary = primary
        self._breaker = breaker or CircuitBreaker()
        self._monotonic_s = monotonic_s
        self._local = MemoryLedger()
        self._granted: dict[Key, LocalGrant] = {}
        self._queue: OrderedDict[Key, Delivery] = OrderedDict()

    @property
    def degraded(self) -> bool:
        """Whether the store counts as away."""
        return self._breaker.is_open

    @property
    def undelivered(self) -> int:
        """How many requests the store has still to hear about."""
        return len(self._queue) + len(self._granted)

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        check_reserve(request)
        if (request.tenant, request.request_id) in self._granted:
            return await self._local.reserve(_local_share(request))
        try:
            outcome = await self._ask(lambda: self._primary.reserve(request))
        except PortError:
            if not self._may_grant(request):
                raise
            return await self._reserve_locally(request)
        await self.deliver(DELIVER_WITH_EACH_CALL)
        return outcome

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        check_settle(request)
        key = (request.tenant, request.request_id)
        grant = self._granted.pop(key, None)
        missed = grant.request if grant is not None else self._unheard(key)
        if missed is not None:
            self._enqueue(key, Delivery(missed, request))
            states = await self._local.settle(request)
            await self.deliver(DELIVER_WITH_EACH_CALL)
            return states
        try:
            states = await self._ask(lambda: self._primary.settle(request))
        except (PortError, asyncio.CancelledError) as error:
            is_kept = self.undelivered < QUEUE_AT_MOST
            if is_kept:
                self._enqueue(key, Delivery(None, request))
            if is_kept and isinstance(error, PortError):
                return ()
            raise
        await self.deliver(DELIVER_WITH_EACH_CALL)
        return states

    async def deliver(self, at_most: int = QUEUE_AT_MOST) -> bool:
        """Tell the store what it missed; True when nothing is left. Never raises PortError."""
        self._queue_expired_grants()
        for _ in range(min(at_most, len(self._queue))):
            if not self._queue:
                break  # another task delivered the rest while we waited
            key, delivery = self._queue.popitem(last=False)
            try:
                await self._send(delivery)
            except (PortError, asyncio.CancelledError) as error:
                # last: one the store rejects must not block others
                self._queue[key] = delivery.then(self._queue.pop(key, None))
                if isinstance(error, PortError):
                    return False
                raise  # the caller gave up; what rode with its call is another's
        return not self._queue

    async def usage(
        self, *, budget: str | None = None, containing: str = "", at_most: int = 1000
    ) -> tuple[UsageRow, ...]:
        return await self._primary.usage(budget=budget, containing=containing, at_most=at_most)

    async def raise_limit(self, bucket: str, *, limit: int, for_s: int) -> bool:
        return await self._primary.raise_limit(bucket, limit=limit, for_s=for_s)

    async def reset(self, bucket: str) -> bool:
        return await self._primary.reset(bucket)

    async def entries(self, *, at_most: int = 10_000) -> tuple[LedgerEntry, ...]:
        return await self._primary.entries(at_most=at_most)

    async def close(self) -> None:
        """Deliver what can be delivered, then close."""
        await self.deliver()
        await self._primary.close()

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask the store, unless the breaker is open."""
        if not self._breaker.allows(self._monotonic_s()):
            raise PortError("ledger", "the store is away (circuit open)")
        try:
            answer = await call()
        except PortError:
            self._breaker.failed(self._monotonic_s())
            raise
        self._breaker.succeeded()
        return answer

    async def _send(self, delivery: Delivery) -> None:
        missed, settlement = delivery.reserve, delivery.settle
        if missed is not None:
            await self._ask(lambda: self._primary.reserve(missed))
        if settlement is not None:
            await self._ask(lambda: self._primary.settle(settlement))

    def _enqueue(self, key: Key, delivery: Delivery) -> None:
        known = self._queue.pop(key, None)
        self._queue[key] = delivery if known is None else known.then(delivery)

    def _unheard(self, key: Key) -> ReserveRequest | None:
        """What was charged locally and not settled, if the store has yet to hear of it."""
        waiting = self._queue.get(key)
        return None if waiting is None or waiting.settle is not None else waiting.reserve

    def _may_grant(self, request: ReserveRequest) -> bool:
        allowed = all(line.soft or line.local_percent for line in request.lines)
        return allowed and self.undelivered < QUEUE_AT_MOST

    async def _reserve_locally(self, request: ReserveRequest) -> ReserveOutcome:
        outcome = await self._local.reserve(_local_share(request))
        if outcome.granted:
            # Booked later whatever the limit says then: the use has happened.
            lines = tuple(replace(line, soft=True) for line in request.lines)
            missed, key = replace(request, lines=lines), (request.tenant, request.request_id)
            if request.charge_now:
                self._enqueue(key, Delivery(missed, None))
            else:
                self._granted[key] = LocalGrant(missed, self._monotonic_s() + request.ttl_s)
        return outcome

    def _queue_expired_grants(self) -> None:
        """Grants never settled are booked as estimated, like the store does with its own."""
        now_s = self._monotonic_s()
        while self._granted:
            key = next(iter(self._granted))  # the oldest
            if self._granted[key].expires_s > now_s:
                return
            self._enqueue(key, Delivery(self._granted.pop(key).request, None))


def _local_share(request: ReserveRequest) -> ReserveRequest:
    lines = tuple(
        replace(line, limit=line.limit * line.local_percent // 100) for line in request.lines
    )
    return replace(request, lines=lines)
