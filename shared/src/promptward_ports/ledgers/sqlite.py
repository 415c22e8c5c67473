"""The embedded default ledger: one SQLite file shared by all processes of a host.

Invariants: every operation is one `BEGIN IMMEDIATE` transaction, so processes never see each
other's half-done work and never overspend; the write-ahead log keeps committed work when a process
is killed (`synchronous=NORMAL`; after a power loss the last moments may be missing, `FULL` in the
URL closes that too). Methods are `async` by contract and block inside: about 0.1 ms each.
Waiting for another process is a loop of short, random sleeps: SQLite's own busy handler backs off
to 100 ms and starves under eight busy writers (seen: 2 s without a turn).
A forked child opens its own connection (sqlite.org/howtocorrupt.html section 2.6).
"""

from __future__ import annotations

import os
import random
import sqlite3
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from promptward.errors import PortError
from promptward.ledger import RETENTION_S, Book, forget_spending, usage_row
from promptward.ledger.bounds import check_raise
from promptward.ports import (
    Clock,
    LedgerEntry,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
    UsageRow,
)
from promptward_ports.ledgers.clock import HostClock, now_us
from promptward_ports.ledgers.sqlite_schema import (
    CHECKPOINT_PAGES,
    MAX_PAGES,
    SCHEMA,
    USER_VERSION,
)
from promptward_ports.ledgers.sqlite_shelf import (
    LIST_BUCKETS,
    LIST_RESERVATIONS,
    SqliteShelf,
    bucket_of,
    reservation_of,
)

T = TypeVar("T")
WAIT_S = (0.0001, 0.001)
"""Between tries for the lock; a transaction takes about 0.2 ms."""
PRIMARY_CODE = 0xFF
"""The low byte of a SQLite result code; the rest says which kind of busy it is."""
Synchronous = Literal["NORMAL", "FULL"]


class SqliteLedger:
    """BudgetLedger and LedgerAdmin in a SQLite file.

    Args:
        path: the file; created with mode 0600, its directory must exist.
        timeout_s: longest wait for another process's transaction.
        clock: what windows go by; the host's by default.
        retention_s: how long a closed reservation is remembered.
        synchronous: `FULL` also survives a power loss, at one fsync per operation.

    Raises:
        PortError: the file cannot be opened or holds something else.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout_s: float,
        clock: Clock | None = None,
        retention_s: int = RETENTION_S,
        synchronous: Synchronous = "NORMAL",
    ) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._synchronous = synchronous
        self._clock = clock or HostClock()
        self._book = Book(retention_s)
        self._lock = threading.Lock()
        self._pid = os.getpid()
        try:
            self._connection = self._open()
        except (sqlite3.Error, OSError) as error:
            raise _port_error(error) from error
        self._shelf = SqliteShelf(self._connection)

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        return self._transact(lambda shelf, now: self._book.reserve(shelf, request, now))

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        return self._transact(lambda shelf, now: self._book.settle(shelf, request, now))

    async def usage(
        self, *, budget: str | None = None, containing: str = "", at_most: int = 1000
    ) -> tuple[UsageRow, ...]:
        def read(shelf: SqliteShelf, now: int) -> tuple[UsageRow, ...]:
            self._book.sweep(shelf, now)
            rows = self._connection.execute(LIST_BUCKETS, (budget, containing, at_most)).fetchall()
            return tuple(usage_row(bucket_of(row), now) for row in rows)

        return self._transact(read)

    async def raise_limit(self, bucket: str, *, limit: int, for_s: int) -> bool:
        check_raise(limit, for_s)

        def change(shelf: SqliteShelf, now: int) -> bool:
            row = shelf.load_bucket(bucket)
            if row is None:
                return False
            row.raised_to = limit
            row.raised_until_us = now + for_s * 1_000_000
            shelf.save_bucket(row, row.raised_until_us)
            return True

        return self._transact(change)

    async def reset(self, bucket: str) -> bool:
        def change(shelf: SqliteShelf, now: int) -> bool:
            row = shelf.load_bucket(bucket)
            if row is None:
                return False
            forget_spending(row)
            shelf.save_bucket(row, now)
            return True

        return self._transact(change)

    async def entries(self, *, at_most: int = 10_000) -> tuple[LedgerEntry, ...]:
        def read(shelf: SqliteShelf, now: int) -> tuple[LedgerEntry, ...]:
            self._book.sweep(shelf, now)
            rows = self._connection.execute(LIST_RESERVATIONS, (at_most,)).fetchall()
            found = [entry for row in rows for entry in reservation_of(row).entries()]
            found.sort(key=lambda entry: (entry.request_id, entry.budget, entry.partition))
            return tuple(found[:at_most])

        return self._transact(read)

    async def close(self) -> None:
        """Close the connection; the last one of a host also folds the log into the file."""
        with self._lock:
            self._connection.close()

    def _transact(self, work: Callable[[SqliteShelf, int], T]) -> T:
        with self._lock:
            try:
                return self._in_transaction(work)
            except (sqlite3.Error, OSError, ValueError, TypeError, struct.error) as error:
                raise _port_error(error) from error

    def _in_transaction(self, work: Callable[[SqliteShelf, int], T]) -> T:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._connection = self._open()
            self._shelf = SqliteShelf(self._connection)
        connection, shelf = self._connection, self._shelf
        self._patiently(connection, "BEGIN IMMEDIATE")
        try:
            # Read only once the lock is held: whoever comes later also sees a later time.
            shelf.begin()
            result = work(shelf, now_us(self._clock))
            connection.execute("COMMIT")
        except BaseException:
            shelf.forget()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(
            self._path,
            timeout=0,  # `_patiently` waits
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Set a new connection up, and the file if nobody has.

        Raises:
            PortError: the file has another layout.
            sqlite3.Error: it is no database, or cannot be locked or written.
        """
        self._patiently(connection, "PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute(f"PRAGMA max_page_count = {MAX_PAGES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self._patiently(connection, "BEGIN IMMEDIATE")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, USER_VERSION):
            raise PortError("ledger", f"the file has layout {version}, expected {USER_VERSION}")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {USER_VERSION}")
        connection.execute("COMMIT")

    def _patiently(self, connection: sqlite3.Connection, statement: str) -> None:
        """Execute a statement that takes the write lock, waiting for it up to the timeout."""
        deadline_s = 0.0
        while True:
            try:
                connection.execute(statement)
            except sqlite3.OperationalError as error:
                deadline_s = deadline_s or time.monotonic() + self._timeout_s
                busy = error.sqlite_errorcode & PRIMARY_CODE == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() >= deadline_s:
                    raise
                time.sleep(random.uniform(*WAIT_S))  # noqa: S311 (spreads waiters, no secret)
            else:
                return


def _port_error(error: Exception) -> PortError:
    """The PortError for a store's error; the reason is SQLite's, which quotes no data."""
    if isinstance(error, sqlite3.Error | OSError):
        return PortError("ledger", f"sqlite: {type(error).__name__}: {error}")
    return PortError("ledger", "sqlite: a row is not ours")
