"""Budget ledgers for CPython hosts; `open_ledger` picks one by URL.

Every store here passes the same contract suite (tests/contracts/test_ledger.py).
"""

from __future__ import annotations

from typing import Protocol

from promptward.ports import BudgetLedger, LedgerAdmin
from promptward_ports.ledgers.opening import open_ledger


class Ledger(BudgetLedger, LedgerAdmin, Protocol):
    """What `open_ledger` returns: the port and its admin side in one."""


__all__ = ["Ledger", "open_ledger"]
