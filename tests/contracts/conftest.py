"""Stores for the contract suites: each one opened on an injected clock."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
import uvloop

from promptward.testing.ledgers import RETENTION_S, LedgerDriver
from promptward.testing.redis_server import RedisServer
from promptward.testing.stepped_clock import SteppedClock
from promptward_envoy.testing.port_ledger import PortLedger
from promptward_ports.ledgers.memory import MemoryLedger
from promptward_ports.ledgers.redis_connect import (
    connect_blocking,
    connect_suspending,
    parse_redis_url,
)
from promptward_ports.ledgers.redis_ledger import RedisLedger
from promptward_ports.ledgers.resilient import ResilientLedger
from promptward_ports.ledgers.sqlite import SqliteLedger

STORES = ("memory", "resilient", "sqlite", "redis", "redis-asyncio", "redis-uvloop", "http")
LOOPS = {"redis-asyncio": asyncio.new_event_loop, "redis-uvloop": uvloop.new_event_loop}
TIMEOUT_S = 5
_prefixes = (f"pw{number}" for number in count())


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for all contract tests; every test has a key prefix of its own."""
    with tempfile.TemporaryDirectory(prefix="pw") as directory:
        server = RedisServer(Path(directory))
        server.start()
        yield server
        server.stop()


@contextmanager
def _redis(clock: SteppedClock, url: str) -> Iterator[LedgerDriver]:
    target, prefix = parse_redis_url(url), next(_prefixes)

    def open_ledger() -> RedisLedger:
        transport = connect_blocking(target, TIMEOUT_S)
        return RedisLedger(transport, prefix=prefix, retention_s=RETENTION_S, clock=clock)

    driver = LedgerDriver("redis", open_ledger, clock, True)
    yield driver
    driver.run(driver.ledger.close())


@contextmanager
def _redis_asyncio(
    clock: SteppedClock, url: str, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> Iterator[LedgerDriver]:
    target, prefix = parse_redis_url(url), next(_prefixes)

    def open_ledger() -> RedisLedger:
        transport = connect_suspending(target, TIMEOUT_S)
        return RedisLedger(transport, prefix=prefix, retention_s=RETENTION_S, clock=clock)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        driver = LedgerDriver("redis-asyncio", open_ledger, clock, True, runner.run)
        yield driver
        driver.run(driver.ledger.close())


@contextmanager
def _http(clock: SteppedClock) -> Iterator[LedgerDriver]:
    """A memory ledger behind the real ledger port; operators ask the store itself."""
    with asyncio.Runner() as runner:
        ledger = runner.run(PortLedger.started(MemoryLedger(clock, retention_s=RETENTION_S)))
        driver = LedgerDriver("http", lambda: ledger, clock, False, runner.run)
        yield driver
        driver.run(driver.ledger.close())


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerDriver]:
    """Every store in turn."""
    clock = SteppedClock()
    if request.param in LOOPS:
        url = request.getfixturevalue("redis_server").url
        with _redis_asyncio(clock, url, LOOPS[request.param]) as driver:
            yield driver
        return
    if request.param == "http":
        with _http(clock) as driver:
            yield driver
        return
    if request.param == "redis":
        with _redis(clock, request.getfixturevalue("redis_server").url) as driver:
            yield driver
        return
    if request.param == "memory":
        driver = LedgerDriver(
            "memory", lambda: MemoryLedger(clock, retention_s=RETENTION_S), clock, False
        )
    elif request.param == "resilient":
        driver = LedgerDriver(
            "resilient",
            lambda: ResilientLedger(MemoryLedger(clock, retention_s=RETENTION_S)),
            clock,
            False,
        )
    else:
        path = tmp_path / "ledger.db"
        driver = LedgerDriver(
            "sqlite",
            lambda: SqliteLedger(path, timeout_s=TIMEOUT_S, clock=clock, retention_s=RETENTION_S),
            clock,
            True,
        )
    yield driver
    driver.run(driver.ledger.close())
