"""Redis behind a network that cuts connections, and many requests at once: the books stay right."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from promptward.errors import PortError
from promptward.ports import (
    BudgetLedger,
    BudgetLine,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
    Window,
)
from promptward.testing.redis_server import RedisServer
from promptward_ports.ledgers import open_ledger
from promptward_ports.ledgers.redis_connect import connect_suspending, parse_redis_url
from promptward_ports.ledgers.redis_ledger import RedisLedger

pytestmark = pytest.mark.redis
MONTH = Window("fixed", 30 * 86_400, months=1)
TIMEOUT_S = 5


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="pw") as directory:
        redis = RedisServer(Path(directory), tcp=True)
        redis.start()
        yield redis
        redis.stop()


class CuttingProxy:
    """Forwards to Redis; every `every`-th piece, in either direction, ends the connection instead."""

    def __init__(self, port: int, every: int) -> None:
        self._port = port
        self._every = every
        self._pieces = 0
        self.cuts = 0
        self.connections: set[asyncio.Task[None]] = set()

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        pumps = [
            asyncio.create_task(self._pump(reader, up_writer)),
            asyncio.create_task(self._pump(up_reader, writer)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for end in (writer, up_writer):
            end.transport.abort()
        await asyncio.gather(*pumps, return_exceptions=True)
        for end in (writer, up_writer):
            with suppress(OSError):
                await end.wait_closed()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self._pieces += 1
            if self._pieces % self._every == 0:
                self.cuts += 1
                return
            writer.write(data)
            await writer.drain()


def request(number: int, limit: int) -> ReserveRequest:
    line = BudgetLine("team", "claim.team=core", "total_tokens", limit, 10, MONTH)
    return ReserveRequest(f"r{number}", "acme", (line,), 600)


async def reserve_until_answered(ledger: BudgetLedger, number: int, limit: int) -> ReserveOutcome:
    for _ in range(50):
        try:
            return await ledger.reserve(request(number, limit))
        except PortError:
            continue
    raise AssertionError("50 cuts in a row")


async def settle_until_answered(ledger: BudgetLedger, number: int, used: int) -> None:
    for _ in range(50):
        try:
            await ledger.settle(SettleRequest(f"r{number}", "acme", {"team": used}))
        except PortError:
            continue
        return
    raise AssertionError("50 cuts in a row")


async def through_cuts(redis_port: int) -> tuple[int, int]:
    """Settles requests through the proxy; what they used, and how often it cut."""
    proxy = CuttingProxy(redis_port, every=7)
    listener = await proxy.serve()
    url = f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    ledger = RedisLedger(connect_suspending(parse_redis_url(url), TIMEOUT_S))
    used = 0
    for number in range(200):
        assert (await reserve_until_answered(ledger, number, 10**6)).granted
        await settle_until_answered(ledger, number, number % 13)
        used += number % 13
    await ledger.close()
    listener.close()
    await listener.wait_closed()
    await asyncio.gather(*proxy.connections)
    return used, proxy.cuts


def test_a_network_that_cuts_connections_loses_and_doubles_nothing(server: RedisServer) -> None:
    used, cuts = asyncio.run(through_cuts(server.port))
    assert cuts > 50

    async def books() -> tuple[int, int, int]:
        ledger = open_ledger(server.tcp_url, timeout_s=TIMEOUT_S, suspending=True)
        (row,) = await ledger.usage()
        entries = await ledger.entries()
        await ledger.close()
        assert all(entry.state == "settled" for entry in entries)
        return row.spent, row.reserved, sum(entry.amount for entry in entries)

    assert asyncio.run(books()) == (used, 0, used)


def test_500_requests_at_once_do_not_overspend(server: RedisServer) -> None:
    async def at_once() -> tuple[int, int]:
        ledger = open_ledger(server.tcp_url, timeout_s=TIMEOUT_S, suspending=True)
        calls = (ledger.reserve(request(number, 1000)) for number in range(500))
        outcomes = await asyncio.gather(*calls)
        (row,) = await ledger.usage()
        await ledger.close()
        return sum(outcome.granted for outcome in outcomes), row.reserved

    assert asyncio.run(at_once()) == (100, 1000)
