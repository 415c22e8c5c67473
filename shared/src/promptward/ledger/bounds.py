"""Bounds of what a ledger accepts; beyond them every store refuses alike.

Amounts and sums stay below 2**53, where the doubles of Redis' Lua are still exact integers.
"""

from __future__ import annotations

from collections.abc import Sequence

from promptward.errors import PortError
from promptward.ports import BudgetLine, ReserveRequest, SettleRequest

MAX_LINES = 32
MAX_AMOUNT = 10**12
"""1000 USD in nano-USD, or 10**12 tokens, in one request."""
MAX_LIMIT = 4 * 10**15
"""4 million USD in nano-USD per window; leaves room below 2**53 for 5000 of the largest charges."""
MAX_DURATION_S = 366 * 86_400
MAX_TTL_S = 86_400
MAX_ID_CHARS = 256
MAX_PARTITION_CHARS = 4096


def check_reserve(request: ReserveRequest) -> None:
    """Refuse a malformed reservation.

    Raises:
        PortError: a field is out of its bounds, or two lines draw from the same bucket.
    """
    _check_ids(request.request_id, request.tenant)
    if not 1 <= len(request.lines) <= MAX_LINES:
        raise PortError("ledger", f"a reservation has 1..{MAX_LINES} lines")
    if not 1 <= request.ttl_s <= MAX_TTL_S:
        raise PortError("ledger", f"ttl_s must be 1..{MAX_TTL_S}")
    for line in request.lines:
        _check_line(line)
        if request.charge_now and line.window.type == "concurrent":
            raise PortError("ledger", "a concurrent line is given back, never charged")
    if len(request.lines) > 1 and _repeats_a_bucket(request.lines):
        raise PortError("ledger", "two lines of one reservation draw from the same bucket")


def check_settle(request: SettleRequest) -> None:
    """Refuse a malformed settlement.

    Raises:
        PortError: an amount is negative or over `MAX_AMOUNT`, or an id is too long.
    """
    _check_ids(request.request_id, request.tenant)
    for amount in request.amounts.values():
        if not 0 <= amount <= MAX_AMOUNT:
            raise PortError("ledger", f"an amount must be 0..{MAX_AMOUNT}")


def check_raise(limit: int, for_s: int) -> None:
    """Refuse a temporary raise that is out of bounds.

    Raises:
        PortError: `limit` is not 0..MAX_LIMIT or `for_s` not 1..MAX_DURATION_S.
    """
    if not 0 <= limit <= MAX_LIMIT:
        raise PortError("ledger", f"a limit must be 0..{MAX_LIMIT}")
    if not 1 <= for_s <= MAX_DURATION_S:
        raise PortError("ledger", f"a raise lasts 1..{MAX_DURATION_S} seconds")


def _check_ids(request_id: str, tenant: str) -> None:
    if not 1 <= len(request_id) <= MAX_ID_CHARS or len(tenant) > MAX_PARTITION_CHARS:
        raise PortError("ledger", f"a request id has 1..{MAX_ID_CHARS} characters")


def _repeats_a_bucket(lines: Sequence[BudgetLine]) -> bool:
    if len({line.budget for line in lines}) == len(lines):
        return False
    return len({(x.budget, x.partition, x.unit, x.window) for x in lines}) < len(lines)


def _check_line(line: BudgetLine) -> None:
    if not 0 <= line.amount <= MAX_AMOUNT:
        raise PortError("ledger", f"an amount must be 0..{MAX_AMOUNT}")
    if not 0 <= line.limit <= MAX_LIMIT:
        raise PortError("ledger", f"a limit must be 0..{MAX_LIMIT}")
    if not 1 <= line.window.duration_s <= MAX_DURATION_S or not 0 <= line.window.months <= 12:
        raise PortError("ledger", f"a window lasts 1..{MAX_DURATION_S} seconds")
    if not 0 <= line.local_percent <= 100:
        raise PortError("ledger", "local_percent must be 0..100")
    if len(line.partition) > MAX_PARTITION_CHARS or len(line.budget) > MAX_ID_CHARS:
        raise PortError("ledger", "a partition or budget id is too long")
