"""Ledger rows in SQLite tables.

Invariants: every method is one or two statements inside the caller's transaction; text that came
from a policy or a request is only ever bound, never part of a statement. Rows that this connection
wrote are kept, because a settlement mostly follows its own reservation; they are forgotten as soon
as another connection has written or a transaction of this one has failed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import cast

from promptward.ledger import (
    Bucket,
    Reservation,
    State,
    copy_of,
    decode_holds,
    encode_holds,
    pack_state,
    unpack_state,
    window_fields,
)
from promptward.ports import Window, WindowType

FORGET_STEP_US = 256_000_000
"""`forget_us` is rounded up to this, so that most charges leave its index alone."""

KEPT_ROWS = 1024
"""Rows kept at most; then all are forgotten, and read again when they are needed."""

LOAD_BUCKET = """SELECT key, tenant, budget, partition, unit, type, duration_s, timezone, months,
    state, forget_us FROM bucket WHERE key = ?"""
INSERT_BUCKET = """INSERT INTO bucket (key, tenant, budget, partition, unit, type, duration_s,
    timezone, months, state, forget_us) VALUES (?,?,?,?,?,?,?,?,?,?,?)
    ON CONFLICT (key) DO UPDATE SET state = excluded.state, forget_us = excluded.forget_us"""
LIST_BUCKETS = """SELECT key, tenant, budget, partition, unit, type, duration_s, timezone, months,
    state FROM bucket
    WHERE (?1 IS NULL OR budget = ?1) AND (?2 = '' OR instr(partition, ?2) > 0)
    ORDER BY budget, partition, key LIMIT ?3"""
LIST_RESERVATIONS = """SELECT tenant, request_id, state, due_us, holds FROM reservation
    ORDER BY request_id LIMIT ?"""
BucketRow = tuple[str, str, str, str, str, str, int, str, int, bytes]
ReservationRow = tuple[str, str, str, int, str]


def bucket_of(row: BucketRow) -> Bucket:
    """A bucket from its columns."""
    key, tenant, budget, partition, unit, kind, duration_s, timezone, months, state = row
    window = _window(kind, duration_s, timezone, months)
    return unpack_state(Bucket(key, tenant, budget, partition, unit, window), state)


@lru_cache(maxsize=256)
def _window(kind: str, duration_s: int, timezone: str, months: int) -> Window:
    return Window(cast(WindowType, kind), duration_s, timezone, months)


def reservation_of(row: ReservationRow) -> Reservation:
    """A reservation from its columns."""
    tenant, request_id, state, due_us, holds = row
    return Reservation(tenant, request_id, cast(State, state), due_us, decode_holds(holds))


class SqliteShelf:
    """Rows through one connection."""

    __slots__ = ("_buckets", "_connection", "_forget_us", "_open", "_version")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._buckets: dict[str, Bucket] = {}
        self._forget_us: dict[str, int] = {}
        self._open: dict[tuple[str, str], Reservation] = {}
        self._version = 0

    def begin(self) -> None:
        """A transaction has begun and holds the lock: what is kept must be what is stored."""
        # changes when, and only when, another connection has committed (sqlite.org/pragma.html)
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version or len(self._open) + len(self._forget_us) > KEPT_ROWS:
            self._version = version
            self.forget()

    def forget(self) -> None:
        """Nothing is known of what is stored."""
        self._buckets.clear()
        self._forget_us.clear()
        self._open.clear()

    def load_bucket(self, key: str) -> Bucket | None:
        kept = self._buckets.get(key)
        if kept is not None:
            return copy_of(kept)  # a refusal changes what it was given and does not save it
        row = self._connection.execute(LOAD_BUCKET, (key,)).fetchone()
        if row is None:
            return None
        self._forget_us[key] = row[10]
        return bucket_of(row[:10])

    def save_bucket(self, bucket: Bucket, forget_us: int) -> None:
        stored_us = self._forget_us.get(bucket.key)
        self._buckets[bucket.key] = bucket  # whoever changes it again saves it again
        state = pack_state(bucket)
        if stored_us is not None and stored_us >= forget_us:
            self._connection.execute(
                "UPDATE bucket SET state = ? WHERE key = ?", (state, bucket.key)
            )
            return
        rounded_us = -(-forget_us // FORGET_STEP_US) * FORGET_STEP_US
        self._forget_us[bucket.key] = rounded_us
        self._connection.execute(
            INSERT_BUCKET,
            (
                bucket.key,
                bucket.tenant,
                bucket.budget,
                bucket.partition,
                bucket.unit,
                *window_fields(bucket.window),
                state,
                rounded_us,
            ),
        )

    def load_reservation(self, tenant: str, request_id: str) -> Reservation | None:
        kept = self._open.pop((tenant, request_id), None)
        if kept is not None:
            return kept
        row = self._connection.execute(
            "SELECT tenant, request_id, state, due_us, holds FROM reservation"
            " WHERE request_id = ? AND tenant = ?",
            (request_id, tenant),
        ).fetchone()
        return None if row is None else reservation_of(row)

    def save_reservation(self, reservation: Reservation) -> None:
        name = (reservation.tenant, reservation.request_id)
        if reservation.state == "open":
            self._open[name] = reservation
        else:
            self._open.pop(name, None)
        self._connection.execute(
            "INSERT INTO reservation (request_id, tenant, state, due_us, holds)"
            " VALUES (?,?,?,?,?) ON CONFLICT (request_id, tenant) DO UPDATE SET"
            " state = excluded.state, due_us = excluded.due_us, holds = excluded.holds",
            (
                reservation.request_id,
                reservation.tenant,
                reservation.state,
                reservation.due_us,
                encode_holds(reservation.holds),
            ),
        )

    def due(self, now_us: int, at_most: int) -> Sequence[Reservation]:
        rows: Iterable[ReservationRow] = self._connection.execute(
            "SELECT tenant, request_id, state, due_us, holds FROM reservation"
            " WHERE due_us <= ? ORDER BY due_us LIMIT ?",
            (now_us, at_most),
        ).fetchall()
        return [reservation_of(row) for row in rows]

    def drop_reservation(self, reservation: Reservation) -> None:
        self._open.pop((reservation.tenant, reservation.request_id), None)
        self._connection.execute(
            "DELETE FROM reservation WHERE request_id = ? AND tenant = ?",
            (reservation.request_id, reservation.tenant),
        )

    def drop_buckets(self, now_us: int, at_most: int) -> None:
        self.forget()
        self._connection.execute(
            "DELETE FROM bucket WHERE key IN"
            " (SELECT key FROM bucket WHERE forget_us <= ? ORDER BY forget_us LIMIT ?)",
            (now_us, at_most),
        )
