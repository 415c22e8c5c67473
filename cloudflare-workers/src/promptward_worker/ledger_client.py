"""BudgetLedger over Durable Objects: one object per tenant, more for a hot one.

One object runs one request at a time and its writes are one transaction, so all budgets of a
request are reserved together or not at all. What spreading over several objects costs: `sharding`.

Invariants: the same request id always goes to the same object; names of objects are digests,
never claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import js

from promptward.ledger import wire
from promptward.ledger.keys import digest
from promptward.ports import LineState, ReserveOutcome, ReserveRequest, SettleRequest
from promptward_worker.javascript import call_object, within
from promptward_worker.sharding import shard_of, share


class DurableObjectLedger:
    """The ledger of one request.

    Args:
        namespace: the binding LEDGER.
        timeout_s: longest wait per operation.
        shards: tenant -> number of objects; 1 for tenants not named.
    """

    def __init__(
        self, namespace: js.LedgerNamespace, timeout_s: float, shards: Mapping[str, int]
    ) -> None:
        self._namespace = namespace
        self._timeout_s = timeout_s
        self._shards = shards

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        shards = self._shards.get(request.tenant, 1)
        shard = shard_of(request.request_id, shards)
        if shards > 1:
            lines = tuple(
                replace(line, limit=share(line.limit, shard, shards)) for line in request.lines
            )
            request = replace(request, lines=lines)
        return wire.outcome(
            await self._ask(request.tenant, shard, "reserve", wire.reserve_text(request))
        )

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        shard = shard_of(request.request_id, self._shards.get(request.tenant, 1))
        return wire.states(
            await self._ask(request.tenant, shard, "settle", wire.settle_text(request))
        )

    async def _ask(self, tenant: str, shard: int, method: str, text: str) -> str:
        name = _object_name(tenant, shard)
        call = call_object(self._namespace, name, method, text, self._timeout_s)
        return await within("ledger", self._timeout_s, call)


@lru_cache(maxsize=1024)
def _object_name(tenant: str, shard: int) -> str:
    return digest(tenant) if shard == 0 else f"{digest(tenant)}.{shard}"
