"""Ledgers: reserve + settle on three limits at once, per store, beside the `limits` library.

Every request reserves three lines (user an hour, team a day, model a minute, all `fixed`) and
settles them. `limits` (alisaifee/limits) checks the same three limits on the same Redis in the same
run, which takes it three `hit` calls; it neither reserves nor settles, nor is it atomic over them.
Short rounds are interleaved, so that a busy machine disturbs all alike; latencies are over all
calls. p10 is what a quiet moment of the machine gives.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from limits import RateLimitItemPerDay, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter, SlidingWindowCounterRateLimiter

from promptward.ports import BudgetLine, ReserveRequest, SettleRequest, Window
from promptward.sync import run_sync
from promptward.testing.redis_server import HINT, RedisServer
from promptward_ports.ledgers import Ledger
from promptward_ports.ledgers.memory import MemoryLedger
from promptward_ports.ledgers.redis_connect import (
    connect_blocking,
    connect_suspending,
    parse_redis_url,
)
from promptward_ports.ledgers.redis_ledger import RedisLedger
from promptward_ports.ledgers.sqlite import SqliteLedger

ROUNDS = 40
REQUESTS = 50
USERS = 50
LIMIT = 10**9
WINDOWS = (("user", 3600), ("team", 86_400), ("model", 60))

Sample = list[float]
"""Seconds per request."""


class Requests:
    """Requests with ids that never repeat."""

    def __init__(self) -> None:
        self.number = 0

    def next(self, kind: str = "fixed") -> tuple[ReserveRequest, SettleRequest]:
        self.number += 1
        lines = tuple(
            BudgetLine(
                name,
                f"{name}={self.number % USERS if name == 'user' else 'x'}",
                "total_tokens",
                LIMIT,
                500,
                Window(kind, duration),  # type: ignore[arg-type]
            )
            for name, duration in WINDOWS
        )
        request_id = f"r{self.number}"
        amounts = {name: 300 for name, _ in WINDOWS}
        return (
            ReserveRequest(request_id, "acme", lines, 600),
            SettleRequest(request_id, "acme", amounts),
        )


def blocking(ledger: Ledger, requests: Requests, kind: str = "fixed") -> Sample:
    sample = []
    for _ in range(REQUESTS):
        reserve, settle = requests.next(kind)
        start = time.perf_counter()
        run_sync(ledger.reserve(reserve))
        run_sync(ledger.settle(settle))
        sample.append(time.perf_counter() - start)
    return sample


async def suspending(ledger: Ledger, requests: Requests) -> Sample:
    sample = []
    for _ in range(REQUESTS):
        reserve, settle = requests.next()
        start = time.perf_counter()
        await ledger.reserve(reserve)
        await ledger.settle(settle)
        sample.append(time.perf_counter() - start)
    return sample


def limits_library(limiter: Any) -> Callable[[], Sample]:
    items = (
        RateLimitItemPerHour(LIMIT),
        RateLimitItemPerDay(LIMIT),
        RateLimitItemPerMinute(LIMIT),
    )
    numbers = iter(range(10**9))

    def run() -> Sample:
        sample = []
        for _ in range(REQUESTS):
            names = (f"user={next(numbers) % USERS}", "team=x", "model=x")
            start = time.perf_counter()
            for item, name in zip(items, names, strict=True):
                limiter.hit(item, name, cost=500)
            sample.append(time.perf_counter() - start)
        return sample

    return run


Rounds = dict[str, Callable[[], Sample]]
BASE = "limits, fixed windows"


def embedded(directory: Path) -> Rounds:
    """Name -> one round, for stores that need no server."""
    requests = Requests()
    memory = MemoryLedger()
    sqlite = SqliteLedger(directory / "ledger.db", timeout_s=5)
    return {
        "memory": lambda: blocking(memory, requests),
        "sqlite": lambda: blocking(sqlite, requests),
    }


def served(url: str, runner: asyncio.Runner) -> Rounds:
    """Name -> one round, for everything that talks to the same Redis over TCP."""
    requests = Requests()
    target = parse_redis_url(url)
    redis = RedisLedger(connect_blocking(target, 5))
    redis_asyncio = RedisLedger(connect_suspending(target, 5), prefix="aio")
    storage = RedisStorage(url)
    return {
        "redis": lambda: blocking(redis, requests),
        "redis, sliding windows": lambda: blocking(redis, requests, "sliding"),
        "redis, suspending on uvloop": lambda: runner.run(suspending(redis_asyncio, requests)),
        BASE: limits_library(FixedWindowRateLimiter(storage)),
        "limits, sliding counters": limits_library(SlidingWindowCounterRateLimiter(storage)),
    }


def measure() -> dict[str, Any]:
    """Latency and rate of each store; without redis-server only of the embedded ones."""
    with (
        tempfile.TemporaryDirectory(prefix="pw") as name,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        directory = Path(name)
        rounds = embedded(directory)
        if shutil.which("redis-server") is None:
            print(f"redis-server is not installed; to measure it: {HINT}")
            return play(rounds)
        server = RedisServer(directory, tcp=True)
        server.start()
        try:
            return play(rounds | served(server.tcp_url, runner))
        finally:
            server.stop()


def play(rounds: Rounds) -> dict[str, Any]:
    """Play the rounds in turn and sum them up."""
    seconds: dict[str, list[float]] = {}
    rates: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    for run in rounds.values():
        run()  # warm: connections, scripts, caches
    for _ in range(ROUNDS):
        for contender, run in rounds.items():
            used = time.process_time()
            sample = run()
            cpu.setdefault(contender, []).append(time.process_time() - used)
            seconds.setdefault(contender, []).extend(sample)
            rates.setdefault(contender, []).append(len(sample) / sum(sample))
    return {
        contender: {
            "requests_per_s": statistics.median(rates[contender]),
            "p10_us": statistics.quantiles(sample, n=10)[0] * 1e6,
            "p50_us": statistics.median(sample) * 1e6,
            "p99_us": statistics.quantiles(sample, n=100)[98] * 1e6,
            "cpu_us": statistics.median(cpu[contender]) / REQUESTS * 1e6,
        }
        for contender, sample in seconds.items()
    }


def table(result: dict[str, Any]) -> str:
    """Markdown, with the ratio to `limits` on fixed windows."""
    base = result.get(BASE, {"p50_us": math.nan, "p10_us": math.nan})
    rows = [
        "| three limits per request | requests/s | p10 µs | p50 µs | p99 µs | client CPU µs"
        " | speed to limits by p50 | by p10 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for contender, figures in result.items():
        rows.append(
            f"| {contender} | {figures['requests_per_s']:.0f} | {figures['p10_us']:.0f}"
            f" | {figures['p50_us']:.0f} | {figures['p99_us']:.0f} | {figures['cpu_us']:.0f}"
            f" | {base['p50_us'] / figures['p50_us']:.2f}"
            f" | {base['p10_us'] / figures['p10_us']:.2f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(measure()))
