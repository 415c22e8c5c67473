"""The SQLite file: shared, locked, full, foreign, damaged."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from promptward.errors import PortError
from promptward.ports import ReserveRequest, SettleRequest
from promptward.sync import run_sync
from promptward.testing.ledgers import budget_line
from promptward.testing.stepped_clock import SteppedClock
from promptward_ports.ledgers import sqlite as sqlite_ledger
from promptward_ports.ledgers import sqlite_shelf
from promptward_ports.ledgers.sqlite import SqliteLedger


def request(request_id: str) -> ReserveRequest:
    return ReserveRequest(request_id, "t", (budget_line(limit=10**9, amount=1),), 60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_a_lock_held_too_long_is_a_port_error_in_time(path: Path) -> None:
    ledger = SqliteLedger(path, timeout_s=0.2)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    with pytest.raises(PortError, match="locked"):
        run_sync(ledger.reserve(request("r")))
    assert 0.2 <= time.monotonic() - start < 5
    other.execute("ROLLBACK")
    other.close()
    assert run_sync(ledger.reserve(request("r"))).granted
    run_sync(ledger.close())


def test_threads_share_a_ledger(path: Path) -> None:
    ledger = SqliteLedger(path, timeout_s=10)

    def work(name: str) -> None:
        for number in range(50):
            run_sync(ledger.reserve(request(f"{name}{number}")))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (row,) = run_sync(ledger.usage())
    assert row.reserved == 200
    run_sync(ledger.close())


def reserved(ledger: SqliteLedger, request_id: str) -> int:
    """What is reserved once `request_id` is, too."""
    return run_sync(ledger.reserve(request(request_id))).states[0].reserved


def test_what_another_process_wrote_counts(path: Path) -> None:
    one, other = (SqliteLedger(path, timeout_s=10) for _ in range(2))
    turns = (one, other, one, one, other, other, one)
    assert [reserved(ledger, str(n)) for n, ledger in enumerate(turns)] == [1, 2, 3, 4, 5, 6, 7]
    assert run_sync(other.settle(SettleRequest("0", "t")))
    assert not run_sync(one.settle(SettleRequest("0", "t", {"tokens": 5})))  # it has been settled
    assert reserved(one, "last") == 7
    for ledger in (one, other):
        run_sync(ledger.close())


def test_what_a_failed_transaction_wrote_does_not_count(path: Path) -> None:
    ledger = SqliteLedger(path, timeout_s=10)
    assert reserved(ledger, "a") == 1
    with closing(sqlite3.connect(path)) as other:
        other.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON reservation WHEN NEW.request_id = 'b'"
            " BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    assert reserved(ledger, "c") == 2
    with pytest.raises(PortError, match="refused"):
        reserved(ledger, "b")
    assert reserved(ledger, "d") == 3
    run_sync(ledger.close())


def test_a_bucket_that_was_forgotten_is_written_again(path: Path) -> None:
    clock = SteppedClock()
    one, other = (SqliteLedger(path, timeout_s=10, clock=clock, retention_s=1) for _ in range(2))
    assert reserved(one, "a") == 1
    assert run_sync(one.settle(SettleRequest("a", "t")))
    clock.step(86_400)
    assert not run_sync(one.entries())  # sweeps
    clock.step(-86_399)  # the clock had been wrong, so it is kept no longer than before
    assert reserved(one, "b") == 1
    assert [row.reserved for row in run_sync(other.usage())] == [1]
    for ledger in (one, other):
        run_sync(ledger.close())


def test_more_requests_than_are_kept_can_be_open(path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(sqlite_shelf, "KEPT_ROWS", 3)
    ledger = SqliteLedger(path, timeout_s=10)
    assert [reserved(ledger, str(n)) for n in range(9)] == list(range(1, 10))
    assert all(run_sync(ledger.settle(SettleRequest(str(n), "t"))) for n in range(9))
    assert reserved(ledger, "last") == 1
    run_sync(ledger.close())


def test_a_forked_child_opens_its_own_connection(path: Path) -> None:
    ledger = SqliteLedger(path, timeout_s=10)
    run_sync(ledger.reserve(request("parent")))
    child = os.fork()
    if child == 0:
        granted = run_sync(ledger.reserve(request("child"))).granted
        os._exit(0 if granted else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(run_sync(ledger.entries())) == 2
    run_sync(ledger.close())


def fill(ledger: SqliteLedger) -> int:
    """Reserve until the file is full; how many were granted."""
    for number in range(10_000):
        try:
            run_sync(ledger.reserve(request(f"r{number}")))
        except PortError as error:
            return number if "full" in error.reason else -1
    return 10_000


def test_a_full_file_refuses_and_loses_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_ledger, "MAX_PAGES", 40)
    ledger = SqliteLedger(path, timeout_s=1)
    granted = fill(ledger)
    assert 10 < granted < 10_000
    (row,) = run_sync(ledger.usage())
    assert row.reserved == granted
    run_sync(ledger.settle(SettleRequest("r0", "t", {"tokens": 0})))
    run_sync(ledger.close())


def test_rows_are_deleted_when_they_are_over(path: Path) -> None:
    clock = SteppedClock()
    ledger = SqliteLedger(path, timeout_s=1, clock=clock, retention_s=10)
    for number in range(200):
        run_sync(ledger.reserve(request(f"r{number}")))
    for _ in range(20):
        clock.step(3600)
        run_sync(ledger.entries())
    run_sync(ledger.close())
    with sqlite3.connect(path) as file:
        counts = file.execute(
            "SELECT (SELECT count(*) FROM reservation), (SELECT count(*) FROM bucket)"
        ).fetchone()
    file.close()
    assert counts == (0, 0)


def test_another_layout_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(PortError, match="layout 99"):
        SqliteLedger(path, timeout_s=1)


def test_a_file_that_is_no_ledger_is_refused_and_closed(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at " * 40)
    with pytest.raises(PortError, match="not a database"):
        SqliteLedger(path, timeout_s=1)
    opened = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert path not in opened


@pytest.mark.parametrize(
    "damage", ["UPDATE bucket SET state = x'00'", "UPDATE reservation SET holds = '[[1]]'"]
)
def test_a_damaged_row_is_a_port_error(path: Path, damage: str) -> None:
    ledger = SqliteLedger(path, timeout_s=1)
    run_sync(ledger.reserve(request("r")))
    with sqlite3.connect(path) as file:
        file.execute(damage)
    file.close()
    with pytest.raises(PortError):
        run_sync(ledger.settle(SettleRequest("r", "t", {"tokens": 1})))
    run_sync(ledger.close())


def test_a_closed_ledger_is_a_port_error(path: Path) -> None:
    ledger = SqliteLedger(path, timeout_s=1)
    run_sync(ledger.close())
    with pytest.raises(PortError):
        run_sync(ledger.reserve(request("r")))
