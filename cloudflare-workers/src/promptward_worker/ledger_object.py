"""The Durable Object that keeps the budgets of one tenant (or of one share of it).

Same arithmetic as every other ledger (`promptward.ledger.Book`); here are only the clock, the wire
and what holds a call together.

Invariants: methods never wait, so one runs after the other; what fails writes nothing (all
changes of a call are one statement). A reservation is written before it is answered. A settlement
is written with the next call, or `WRITE_AFTER_S` later: if the object dies before that, the
reservation stays open and is charged as estimated when it expires.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from workers import DurableObject

from promptward.errors import PortError
from promptward.ledger import Book, forget_spending, usage_row, wire
from promptward.ledger.bounds import check_raise
from promptward_worker import javascript, zones
from promptward_worker.failures import failure_event
from promptward_worker.ledger_shelf import SCHEMA, SqlShelf, Value

if TYPE_CHECKING:  # names of our stubs; the SDK has no such classes
    from workers import Env, ObjectContext

zones.install()

Work = Callable[[SqlShelf, int], str]
WRITE_AFTER_S = 0.1
"""How long a settlement waits for a call to be written with; a busy object writes half as often."""


class _ObjectSql:
    """The object's SQLite; all rows of a statement cross in one step."""

    def __init__(self, ctx: ObjectContext) -> None:
        self._sql = ctx._ctx.storage.sql

    def rows(self, statement: str, *values: Value) -> list[list[Value]]:
        found: list[list[Value]] = json.loads(javascript.sql_rows(self._sql, statement, values))
        return found

    def run(self, statement: str, *values: Value) -> None:
        javascript.sql_run(self._sql, statement, values)


class BudgetLedgerObject(DurableObject):
    """Reserve, settle and look at budgets. Methods take and return JSON (`ledger.wire`)."""

    def __init__(self, ctx: ObjectContext, env: Env) -> None:
        super().__init__(ctx, env)
        self._book = Book()
        sql = _ObjectSql(ctx)
        self._shelf = SqlShelf(sql)
        self._is_write_due = False
        for statement in SCHEMA:
            sql.run(statement)

    def now_us(self) -> int:
        """The store's own clock, which decides windows: Unix time in microseconds."""
        return javascript.now_ms() * 1000

    def reserve(self, text: str) -> str:
        """A ReserveRequest; answers the ReserveOutcome."""
        request = wire.reserve_request(text)
        return self._transact(
            lambda shelf, now_us: wire.outcome_text(self._book.reserve(shelf, request, now_us))
        )

    def settle(self, text: str) -> str:
        """A SettleRequest; answers the line states."""
        request = wire.settle_request(text)

        def change(shelf: SqlShelf, now_us: int) -> str:
            return wire.states_text(self._book.settle(shelf, request, now_us))

        answer = self._attempt(change, self._shelf.keep)
        if self._shelf.has_kept and not self._is_write_due:
            self._is_write_due = True
            asyncio.get_running_loop().call_later(WRITE_AFTER_S, self._write_kept)
        return answer

    def _write_kept(self) -> None:
        """Write settlements that no call took along."""
        self._is_write_due = False
        try:
            self._shelf.flush()
        except Exception as error:  # noqa: BLE001 - nobody is told, so it is logged
            self._shelf.forget()
            javascript.log(failure_event("settlement_not_written", error))

    def usage(self, text: str) -> str:
        """`[budget or null, containing, at_most]`; answers usage rows."""
        budget, containing, at_most = json.loads(text)

        def look(shelf: SqlShelf, now_us: int) -> str:
            self._book.sweep(shelf, now_us)
            found = shelf.buckets(budget, containing, at_most)
            return wire.usage_text(tuple(usage_row(b, now_us) for b in found))

        return self._transact(look)

    def raise_limit(self, text: str) -> str:
        """`[bucket, limit, for_s]`; answers `[known]`."""
        key, limit, for_s = json.loads(text)

        def change(shelf: SqlShelf, now_us: int) -> str:
            check_raise(limit, for_s)
            bucket = shelf.load_bucket(key)
            if bucket is not None:
                bucket.raised_to, bucket.raised_until_us = limit, now_us + for_s * 1_000_000
                shelf.save_bucket(bucket, bucket.raised_until_us)
            return wire.dump([bucket is not None])

        return self._transact(change)

    def reset(self, text: str) -> str:
        """`[bucket]`; answers `[known]`."""
        (key,) = json.loads(text)

        def change(shelf: SqlShelf, _now_us: int) -> str:
            bucket = shelf.load_bucket(key)
            if bucket is not None:
                forget_spending(bucket)
                shelf.save_bucket(bucket, 0)
            return wire.dump([bucket is not None])

        return self._transact(change)

    def entries(self, text: str) -> str:
        """`[at_most]`; answers what every remembered request was charged."""
        (at_most,) = json.loads(text)

        def look(shelf: SqlShelf, now_us: int) -> str:
            self._book.sweep(shelf, now_us)
            rows = [entry for r in shelf.reservations(at_most) for entry in r.entries()]
            rows.sort(key=lambda entry: (entry.request_id, entry.budget, entry.partition))
            return wire.entries_text(tuple(rows[:at_most]))

        return self._transact(look)

    def _transact(self, work: Work) -> str:
        """Run `work` and write its changes, or nothing."""
        return self._attempt(work, self._shelf.flush)

    def _attempt(self, work: Work, end: Callable[[], None]) -> str:
        """Run `work`, then `end`; a PortError in it is answered, not thrown."""
        try:
            answer = work(self._shelf, self.now_us())
            end()
        except PortError as error:
            self._shelf.forget()
            return wire.error_text(error.reason)
        except BaseException:
            self._shelf.forget()
            raise
        return answer
