"""The Worker's entry module: the two classes that Cloudflare looks for by name.

Importing this module does no I/O, starts no timer and draws no randomness: it runs when the
memory snapshot is made, once per deployment.
"""

from promptward_worker.ledger_object import BudgetLedgerObject
from promptward_worker.worker import Default

__all__ = ["BudgetLedgerObject", "Default"]
