"""A ledger behind a real ledger port, asked over HTTP: for contract tests."""

from __future__ import annotations

from typing import Self

import aiohttp

from promptward.errors import PortError
from promptward.ledger import wire
from promptward.ports import (
    LedgerEntry,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
    UsageRow,
)
from promptward.testing.ledgers import DrivenLedger
from promptward_envoy.ledger_port import LedgerPort

TOKEN = "ledger-token-of-a-test"  # noqa: S105 - of a test


class PortLedger:
    """Reserves and settles over HTTP; the operators' side asks `store` itself."""

    def __init__(self, store: DrivenLedger, port: LedgerPort, url: str) -> None:
        self._store = store
        self._port = port
        self._client = aiohttp.ClientSession(url, headers={"authorization": f"Bearer {TOKEN}"})

    @classmethod
    async def started(cls, store: DrivenLedger) -> Self:
        """Open a port for `store` on a loopback address."""
        port = LedgerPort(store, TOKEN)
        return cls(store, port, f"http://127.0.0.1:{await port.start('127.0.0.1', 0)}")

    async def ask(self, path: str, text: str) -> str:
        """The answer's text.

        Raises:
            PortError: it is not 200.
        """
        async with self._client.post(path, data=text.encode()) as answer:
            if answer.status != 200:
                raise PortError("ledger", f"status {answer.status}")
            return await answer.text()

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        return wire.outcome(await self.ask(wire.RESERVE_PATH, wire.reserve_text(request)))

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        return wire.states(await self.ask(wire.SETTLE_PATH, wire.settle_text(request)))

    async def usage(
        self, *, budget: str | None = None, containing: str = "", at_most: int = 1000
    ) -> tuple[UsageRow, ...]:
        return await self._store.usage(budget=budget, containing=containing, at_most=at_most)

    async def raise_limit(self, bucket: str, *, limit: int, for_s: int) -> bool:
        return await self._store.raise_limit(bucket, limit=limit, for_s=for_s)

    async def reset(self, bucket: str) -> bool:
        return await self._store.reset(bucket)

    async def entries(self, *, at_most: int = 10_000) -> tuple[LedgerEntry, ...]:
        return await self._store.entries(at_most=at_most)

    async def close(self) -> None:
        await self._client.close()
        await self._port.stop()
        await self._store.close()
