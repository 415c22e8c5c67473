"""The in-memory ledger is bounded and safe between threads."""

from __future__ import annotations

import threading

import pytest

from promptward.errors import PortError
from promptward.ports import ReserveRequest
from promptward.sync import run_sync
from promptward.testing.ledgers import budget_line
from promptward_ports.ledgers import memory
from promptward_ports.ledgers.memory import MemoryLedger


def request(request_id: str) -> ReserveRequest:
    return ReserveRequest(request_id, "t", (budget_line(limit=10**9, amount=1),), 60)


def test_it_refuses_rather_than_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_ROWS", 3)
    ledger = MemoryLedger()
    for number in range(3):
        run_sync(ledger.reserve(request(f"r{number}")))
    with pytest.raises(PortError, match="full"):
        run_sync(ledger.reserve(request("r3")))


def test_threads_share_a_ledger() -> None:
    ledger = MemoryLedger()

    def work(name: str) -> None:
        for number in range(200):
            run_sync(ledger.reserve(request(f"{name}{number}")))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (row,) = run_sync(ledger.usage())
    assert row.reserved == 800
