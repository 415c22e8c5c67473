"""Many processes, one ledger, and things that die: nothing is overspent, lost or charged twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from promptward.errors import PortError
from promptward.ports import BudgetLine, ReserveRequest, SettleRequest, Window
from promptward.sync import run_sync
from promptward.testing.redis_server import RedisServer
from promptward_ports.ledgers import Ledger, open_ledger

TRAFFIC = Path(__file__).parent / "traffic.py"
PROCESSES = 8
REQUESTS = 500
DEADLINE_S = 120
MONTH = Window("fixed", 30 * 86_400, months=1)


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pw") as path:
        yield Path(path)


@pytest.fixture
def durable_redis(directory: Path) -> Iterator[RedisServer]:
    server = RedisServer(directory, durable=True)
    server.start()
    yield server
    server.stop()


Processes = list[subprocess.Popen[str]]
Start = Callable[[str, int, int], Processes]


@pytest.fixture
def start_traffic() -> Iterator[Start]:
    """Starts the gateway processes; none outlives its test."""
    started: Processes = []

    def start(url: str, requests: int, limit: int) -> Processes:
        for number in range(PROCESSES):
            name = f"gateway{number}"
            command = [sys.executable, str(TRAFFIC), url, name, str(requests), str(limit)]
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(processes: Processes) -> tuple[dict[str, int], list[dict[str, int]]]:
    """Confirmed use by request id, and each process's summary."""
    used: dict[str, int] = {}
    summaries = []
    for process in processes:
        out, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
        *rows, summary = [json.loads(line) for line in out.splitlines()]
        used |= {row["id"]: row["used"] for row in rows}
        summaries.append(summary)
    return used, summaries


def booked(ledger: Ledger) -> dict[str, int]:
    """Settled amounts of the team budget by request id."""
    entries = run_sync(ledger.entries(at_most=100_000))
    assert all(entry.state == "settled" for entry in entries)
    return {entry.request_id: entry.amount for entry in entries if entry.budget == "team"}


def level(ledger: Ledger, budget: str) -> tuple[int, int]:
    rows = run_sync(ledger.usage(budget=budget))
    return sum(row.spent for row in rows), sum(row.reserved for row in rows)


def check_books(url: str, used: dict[str, int], limit: int) -> None:
    ledger = open_ledger(url, timeout_s=5)
    total = sum(used.values())
    assert booked(ledger) == used
    assert [level(ledger, b) for b in ("user", "team", "model")] == [(total, 0)] * 3
    assert total <= limit
    run_sync(ledger.close())


def run_and_check(url: str, start_traffic: Start) -> None:
    limit = 100_000  # about half of what is asked for
    used, summaries = finish(start_traffic(url, REQUESTS, limit))
    assert sum(s["refused"] for s in summaries) > 0
    assert max(s["worst"] for s in summaries) <= limit
    assert len(used) + sum(s["refused"] for s in summaries) == PROCESSES * REQUESTS
    check_books(url, used, limit)


def test_sqlite_processes_never_overspend(directory: Path, start_traffic: Start) -> None:
    run_and_check(f"sqlite://{directory}/ledger.db", start_traffic)


@pytest.mark.redis
def test_redis_processes_never_overspend(durable_redis: RedisServer, start_traffic: Start) -> None:
    run_and_check(durable_redis.url, start_traffic)


@pytest.mark.redis
def test_a_killed_redis_loses_nothing_it_confirmed(
    durable_redis: RedisServer, start_traffic: Start
) -> None:
    limit = 10**9
    traffic = start_traffic(durable_redis.url, 150, limit)
    for _ in range(3):
        wait_for_use(durable_redis.url, level_now(durable_redis.url) + 2000)
        durable_redis.kill()
        durable_redis.start()
    used, _ = finish(traffic)
    assert len(used) == PROCESSES * 150
    check_books(durable_redis.url, used, limit)


@pytest.mark.redis
def test_a_redis_that_hangs_is_repeated_without_charging_twice(
    durable_redis: RedisServer, start_traffic: Start
) -> None:
    limit = 10**9
    traffic = start_traffic(durable_redis.url, 100, limit)
    wait_for_use(durable_redis.url, 2000)
    durable_redis.signal(signal.SIGSTOP)
    time.sleep(2.5)  # longer than the clients' timeout: this is the fault, not a wait
    durable_redis.signal(signal.SIGCONT)
    used, _ = finish(traffic)
    check_books(durable_redis.url, used, limit)


def test_killed_sqlite_processes_leave_whole_transactions(
    directory: Path, start_traffic: Start
) -> None:
    url = f"sqlite://{directory}/ledger.db"
    traffic = start_traffic(url, 100_000, 10**9)
    confirmed: dict[str, int] = {}
    for process in traffic:
        assert process.stdout is not None
        for _ in range(20):
            row = json.loads(process.stdout.readline())
            confirmed[row["id"]] = row["used"]
    for process in traffic:
        process.kill()
    for process in traffic:
        assert process.stdout is not None
        for line in process.stdout.read().splitlines():
            if line.endswith("}"):
                row = json.loads(line)
                confirmed[row["id"]] = row["used"]
    ledger = open_ledger(url, timeout_s=5)
    entries = [e for e in run_sync(ledger.entries(at_most=10**6)) if e.budget == "team"]
    by_id = {entry.request_id: entry for entry in entries}
    assert all(by_id[key].amount == used for key, used in confirmed.items())
    # A process died between its reservation and its settlement, or after the settlement and before
    # it was written down: at most one request each.
    assert len(by_id) - len(confirmed) <= PROCESSES
    settled = sum(e.amount for e in entries if e.state == "settled")
    open_ = sum(e.amount for e in entries if e.state == "open")
    assert [level(ledger, b) for b in ("user", "team", "model")] == [(settled, open_)] * 3
    run_sync(ledger.close())


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_a_gateway_killed_between_reserve_and_settle(
    store: str, directory: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite://{directory}/ledger.db"
    if store == "redis":
        url = request.getfixturevalue("durable_redis").url
    script = (
        "import sys, time\n"
        "from promptward.ports import *\n"
        "from promptward.sync import run_sync\n"
        "from promptward_ports.ledgers import open_ledger\n"
        "window = Window('fixed', 30 * 86400, months=1)\n"
        "line = BudgetLine('team', 'p', 'total_tokens', 100, 60, window)\n"
        "ledger = open_ledger(sys.argv[1], timeout_s=5)\n"
        "run_sync(ledger.reserve(ReserveRequest('r', 'acme', (line,), 1)))\n"
        "print('reserved', flush=True)\n"
        "time.sleep(600)\n"
    )
    gateway = subprocess.Popen(
        [sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True
    )
    assert gateway.stdout is not None
    assert gateway.stdout.readline() == "reserved\n"
    gateway.kill()
    gateway.communicate()
    ledger = open_ledger(url, timeout_s=5)
    wait_until(lambda: level(ledger, "team") == (60, 0))  # swept by the store: charged as estimated
    line = BudgetLine("team", "p", "total_tokens", 100, 60, MONTH)
    assert not run_sync(ledger.reserve(ReserveRequest("next", "acme", (line,), 60))).granted
    run_sync(ledger.settle(SettleRequest("r", "acme", {"team": 15})))
    assert level(ledger, "team") == (15, 0)
    assert run_sync(ledger.settle(SettleRequest("r", "acme", {"team": 99}))) == ()
    run_sync(ledger.close())


def level_now(url: str) -> int:
    ledger = open_ledger(url, timeout_s=5)
    try:
        return sum(level(ledger, "team"))
    finally:
        run_sync(ledger.close())


def wait_for_use(url: str, amount: int) -> None:
    wait_until(lambda: level_now(url) >= amount)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            if condition():
                return
        except PortError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)
