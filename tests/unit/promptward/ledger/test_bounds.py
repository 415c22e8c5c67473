"""The bounds leave room for exact sums in a double."""

from __future__ import annotations

import pytest

from promptward.errors import PortError
from promptward.ledger.bounds import (
    MAX_AMOUNT,
    MAX_LIMIT,
    MAX_LINES,
    check_reserve,
    check_settle,
)
from promptward.ports import ReserveRequest, SettleRequest, Window
from promptward.testing.ledgers import budget_line


def test_sums_stay_exact_in_a_double() -> None:
    assert MAX_LIMIT + 5000 * MAX_AMOUNT < 2**53


def test_the_bounds_themselves_are_accepted() -> None:
    lines = tuple(
        budget_line(f"b{n}", limit=MAX_LIMIT, amount=MAX_AMOUNT) for n in range(MAX_LINES)
    )
    check_reserve(ReserveRequest("r" * 256, "", lines, 86_400))
    check_settle(SettleRequest("r", "", {"b": MAX_AMOUNT}))


def test_one_budget_may_hold_several_partitions_but_not_the_same_one_twice() -> None:
    lines = (budget_line(partition="a"), budget_line(partition="b"))
    check_reserve(ReserveRequest("r", "t", lines, 1))
    with pytest.raises(PortError):
        check_reserve(ReserveRequest("r", "t", (*lines, lines[0]), 1))


@pytest.mark.parametrize("months", [-1, 13])
def test_months_are_at_most_a_year(months: int) -> None:
    lines = (budget_line(window=Window("fixed", 1, months=months)),)
    with pytest.raises(PortError):
        check_reserve(ReserveRequest("r", "t", lines, 1))


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_local_share_is_a_percentage(percent: int) -> None:
    from dataclasses import replace

    lines = (replace(budget_line(), local_percent=percent),)
    with pytest.raises(PortError):
        check_reserve(ReserveRequest("r", "t", lines, 1))
