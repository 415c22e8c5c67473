"""The Redis (Valkey, Redis Cluster, Sentinel) ledger: one script call per operation.

Invariants: Redis' own clock decides windows; an operation is atomic because it is one script; it is
idempotent by request id, so the transport may repeat it after a dropped connection. The same class
serves blocking and asyncio hosts: only the transport differs (`redis_transport`).
"""

from __future__ import annotations

from collections.abc import Sequence

from promptward.errors import PortError
from promptward.ledger import RETENTION_S
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
from promptward_ports.ledgers.redis_protocol import BoundsNeeded, RedisProtocol
from promptward_ports.ledgers.redis_transport import Transport

SCAN_AT_MOST = 100_000
"""Rows an admin listing looks at, at most."""


class RedisLedger:
    """BudgetLedger and LedgerAdmin in Redis.

    Args:
        transport: blocking or suspending connection.
        prefix: first part of every key.
        retention_s: how long a closed reservation is remembered.
        clock: the time to go by instead of Redis' own; for tests only.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        prefix: str = "pw",
        retention_s: int = RETENTION_S,
        clock: Clock | None = None,
    ) -> None:
        self._transport = transport
        self._protocol = RedisProtocol(prefix, retention_s=retention_s)
        self._clock = clock
        self._host_clock = clock or HostClock()

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        guess_us = now_us(self._host_clock)
        times: dict[int, int] = {}
        # Once, unless this host and Redis disagree about a window: then once more per such line,
        # and again when a boundary passes in between.
        for _ in range(len(request.lines) + 2):
            call = self._protocol.reserve(request, guess_us, self._now_us(), times)
            reply = await self._transport.evaluate(call)
            try:
                return self._protocol.reserved(request, reply)
            except BoundsNeeded as needed:
                times[needed.line] = needed.time_us
        raise PortError("ledger", "redis: its clock does not stand still")

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        call = self._protocol.settle(request, self._now_us())
        return self._protocol.settled(await self._transport.evaluate(call))

    async def usage(
        self, *, budget: str | None = None, containing: str = "", at_most: int = 1000
    ) -> tuple[UsageRow, ...]:
        rows = []
        for tag in await self._swept_tags():
            for field in await self._fields(tag, "b*"):
                reply = await self._transport.evaluate(
                    self._protocol.read(tag, field, self._now_us())
                )
                row = self._protocol.usage_row(tag, field, reply)
                if row and budget in (None, row.budget) and containing in row.partition:
                    rows.append(row)
        rows.sort(key=lambda row: (row.budget, row.partition, row.bucket))
        return tuple(rows[:at_most])

    async def raise_limit(self, bucket: str, *, limit: int, for_s: int) -> bool:
        check_raise(limit, for_s)
        call = self._protocol.raise_limit(bucket, limit, for_s, self._now_us())
        return bool(await self._transport.evaluate(call))

    async def reset(self, bucket: str) -> bool:
        call = self._protocol.reset(bucket, self._now_us())
        return bool(await self._transport.evaluate(call))

    async def entries(self, *, at_most: int = 10_000) -> tuple[LedgerEntry, ...]:
        found: list[LedgerEntry] = []
        for tag in await self._swept_tags():
            for field in await self._fields(tag, "r*"):
                call = self._protocol.entry(tag, field, self._now_us())
                found += self._protocol.entries(field, await self._transport.evaluate(call))
        found.sort(key=lambda entry: (entry.request_id, entry.budget, entry.partition))
        return tuple(found[:at_most])

    async def close(self) -> None:
        await self._transport.close()

    async def _swept_tags(self) -> list[str]:
        """Every tenant's hash tag, after its due rows were looked after."""
        keys = await self._transport.scan(self._protocol.pattern, SCAN_AT_MOST)
        tags = [self._protocol.tag_of(key) for key in keys]
        for tag in tags:
            await self._transport.evaluate(self._protocol.sweep(tag, self._now_us()))
        return tags

    async def _fields(self, tag: str, pattern: str) -> Sequence[bytes]:
        return await self._transport.fields(self._protocol.rows_key(tag), pattern, SCAN_AT_MOST)

    def _now_us(self) -> int | None:
        return None if self._clock is None else now_us(self._clock)
