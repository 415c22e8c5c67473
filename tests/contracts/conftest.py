"""Stores for the contract suites: each one opened on an injected clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from promptward.testing.ledgers import RETENTION_S, LedgerDriver
from promptward.testing.stepped_clock import SteppedClock
from promptward_ports.ledgers.memory import MemoryLedger
from promptward_ports.ledgers.sqlite import SqliteLedger


def _memory(clock: SteppedClock) -> LedgerDriver:
    return LedgerDriver(
        "memory", lambda: MemoryLedger(clock, retention_s=RETENTION_S), clock, False
    )


def _sqlite(clock: SteppedClock, path: Path) -> LedgerDriver:
    return LedgerDriver(
        "sqlite",
        lambda: SqliteLedger(path, timeout_s=5, clock=clock, retention_s=RETENTION_S),
        clock,
        True,
    )


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerDriver]:
    """Every store in turn."""
    clock = SteppedClock()
    opened = _memory(clock) if request.param == "memory" else _sqlite(clock, tmp_path / "l.db")
    yield opened
    opened.run(opened.ledger.close())
