"""The Durable Object's shelf on a plain SQLite: what is written when, and what failing leaves."""

from __future__ import annotations

import sqlite3

import pytest

from promptward.ledger import Book
from promptward.ports import BudgetLine, LineState, ReserveRequest, SettleRequest, Window
from promptward_worker.ledger_shelf import SCHEMA, SqlShelf, Value

SECOND_US = 1_000_000
NOW_US = 1_700_000_000 * SECOND_US
LINES = tuple(
    BudgetLine(budget, "claim.sub=änn\ud800", "total_tokens", 100, 10, Window("sliding", 3600))
    for budget in ("user", "team")
)


class Database:
    """`Sql`, which counts its statements, and those that change something."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self.statements = self.writes = 0
        self.is_broken = False

    def rows(self, statement: str, *values: Value) -> list[list[Value]]:
        self.statements += 1
        return [list(row) for row in self._connection.execute(statement, values)]

    def run(self, statement: str, *values: Value) -> None:
        if self.is_broken:
            raise OSError("disk full")
        self.statements += 1
        self.writes += 1
        self._connection.execute(statement, values)

    def states(self) -> list[Value]:
        return [row[0] for row in self.rows("SELECT state FROM ledger WHERE kind = 'r'")]


@pytest.fixture
def database() -> Database:
    made = Database()
    for statement in SCHEMA:
        made.run(statement)
    made.writes = 0
    return made


def reserve(
    shelf: SqlShelf, request_id: str, now_us: int = NOW_US, *, charge_now: bool = False
) -> bool:
    request = ReserveRequest(request_id, "t", LINES, 60, charge_now)
    return Book().reserve(shelf, request, now_us).granted


def settle(shelf: SqlShelf, request_id: str) -> tuple[LineState, ...]:
    request = SettleRequest(request_id, "t", {"user": 4, "team": 4})
    return Book().settle(shelf, request, NOW_US)


def spent(shelf: SqlShelf) -> list[int]:
    return [b.slots[0].total for b in shelf.buckets(None, "", 10) if b.slots]


def test_a_settlement_is_written_together_with_the_next_reservation(database: Database) -> None:
    shelf = SqlShelf(database)
    assert reserve(shelf, "one")
    shelf.flush()
    assert settle(shelf, "one")
    shelf.keep()
    assert (database.writes, database.states(), shelf.has_kept) == (1, ["open"], True)
    assert reserve(shelf, "two")
    shelf.flush()
    assert (database.writes, shelf.has_kept) == (2, False)
    assert sorted(map(str, database.states())) == ["open", "settled"]
    assert spent(SqlShelf(database)) == [14, 14]


def test_what_was_charged_at_once_is_corrected_by_the_next_object_too(database: Database) -> None:
    shelf = SqlShelf(database)
    assert reserve(shelf, "one", charge_now=True)
    shelf.flush()
    assert (database.writes, database.states()) == (1, ["charged"])
    after = SqlShelf(database)
    assert [e.state for r in after.reservations(9) for e in r.entries()] == ["settled"] * 2
    assert [(s.spent, s.reserved) for s in settle(after, "one")] == [(4, 0), (4, 0)]
    assert settle(after, "one") == ()


def test_a_call_that_fails_takes_no_earlier_settlement_with_it(database: Database) -> None:
    shelf = SqlShelf(database)
    reserve(shelf, "one")
    shelf.flush()
    settle(shelf, "one")
    shelf.keep()
    reserve(shelf, "two")
    shelf.forget()
    assert database.states() == ["settled"]
    assert spent(shelf) == [4, 4]
    assert settle(shelf, "two") == ()


def test_what_could_not_be_written_is_not_remembered_either(database: Database) -> None:
    shelf = SqlShelf(database)
    reserve(shelf, "one")
    shelf.flush()
    settle(shelf, "one")
    database.is_broken = True
    with pytest.raises(OSError, match="disk full"):
        shelf.flush()
    shelf.forget()
    database.is_broken = False
    assert spent(shelf) == [10, 10]
    assert [state.spent for state in settle(shelf, "one")] == [4, 4]


def test_rows_are_read_back_as_they_were(database: Database) -> None:
    shelf = SqlShelf(database)
    reserve(shelf, "one")
    settle(shelf, "one")
    shelf.flush()
    again = SqlShelf(database)
    assert again.buckets(None, "", 10) == shelf.buckets(None, "", 10)
    assert again.load_reservation("t", "one") == shelf.load_reservation("t", "one")


def test_a_forgotten_reservation_is_not_written_again(database: Database) -> None:
    shelf = SqlShelf(database)
    reserve(shelf, "one")
    shelf.flush()
    settle(shelf, "one")
    shelf.keep()
    reservation = shelf.load_reservation("t", "one")
    assert reservation is not None
    shelf.drop_reservation(reservation)
    shelf.flush()
    assert database.states() == []
    assert shelf.load_reservation("t", "one") is None


def test_closed_reservations_leave_memory_and_are_still_known(database: Database) -> None:
    shelf = SqlShelf(database)
    for number in range(20):
        assert reserve(shelf, f"r{number}")
        settle(shelf, f"r{number}")
        shelf.flush()
    assert shelf.reservations_in_memory == 0
    first = shelf.load_reservation("t", "r0")
    assert first is not None
    assert (first.state, [hold.amount for hold in first.holds]) == ("settled", [4, 4])
    assert settle(shelf, "r1") == ()


def test_a_busy_object_looks_for_due_reservations_once_a_second(database: Database) -> None:
    """Every call finds some that are due, and each look costs three statements or more."""
    shelf, book = SqlShelf(database), Book(retention_s=1)
    calls_a_second = 50
    step_us = SECOND_US // calls_a_second

    def call(number: int) -> None:
        now_us = NOW_US + number * step_us
        book.reserve(shelf, ReserveRequest(f"r{number}", "t", LINES, 60), now_us)
        book.settle(shelf, SettleRequest(f"r{number}", "t", {"user": 0, "team": 0}), now_us)
        shelf.flush()

    for number in range(3 * calls_a_second):
        call(number)
    statements = 0
    for number in range(3 * calls_a_second, 6 * calls_a_second):
        before = database.statements
        call(number)
        statements += database.statements - before
    assert 3 * calls_a_second < statements < 4 * calls_a_second
    assert len(database.states()) <= 2 * calls_a_second + 1
