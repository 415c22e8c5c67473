"""The ledger's rows in a Durable Object's SQLite.

Durable Objects coalesce all writes between two awaits into one atomic transaction, and a method
that never awaits is never interleaved with another: the two together are the transaction that
`promptward.ledger.Book` asks for.

A statement costs 0.1 ms or more at the border to JavaScript. An object's memory is its own, so rows
stay there once read or written, and a call's writes go to SQLite in one statement per table. Memory
is lost with the object; SQLite has everything.

Source: https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from promptward.ledger import (
    Bucket,
    Reservation,
    decode_holds,
    decode_state,
    encode_holds,
    encode_state,
)
from promptward.ledger.keys import window_fields
from promptward.ports import EntryState, Window

Value = str | int | float | None
Key = tuple[str, str]

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS bucket (key TEXT PRIMARY KEY, identity TEXT NOT NULL,
    state TEXT NOT NULL, forget_us INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS bucket_forget ON bucket (forget_us)",
    """CREATE TABLE IF NOT EXISTS reservation (tenant TEXT NOT NULL, request_id TEXT NOT NULL,
    state TEXT NOT NULL, due_us INTEGER NOT NULL, holds TEXT NOT NULL,
    PRIMARY KEY (tenant, request_id)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS reservation_due ON reservation (due_us)",
)
# About 1 KB each in Python: at most some 20 MB of an object's 128 MB.
MAX_ROWS_IN_MEMORY = 20_000

_LOAD_BUCKET = "SELECT key, identity, state FROM bucket WHERE key = ?"
_LOAD_RESERVATION = """SELECT tenant, request_id, state, due_us, holds FROM reservation
    WHERE tenant = ? AND request_id = ?"""
_LOAD_DUE = """SELECT tenant, request_id, state, due_us, holds FROM reservation
    WHERE due_us <= ? ORDER BY due_us LIMIT ?"""
_NEXT_DUE = "SELECT min(due_us) FROM reservation"
_SAVE_BUCKETS = """INSERT INTO bucket SELECT value->>0, value->>1, value->>2, value->>3
    FROM json_each(?) WHERE true ON CONFLICT (key) DO UPDATE SET
    state = excluded.state, forget_us = max(forget_us, excluded.forget_us)"""
_SAVE_RESERVATIONS = """INSERT OR REPLACE INTO reservation
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each(?)"""
_DROP_RESERVATIONS = """DELETE FROM reservation WHERE (tenant, request_id) IN
    (SELECT value->>0, value->>1 FROM json_each(?))"""
_DROP_BUCKETS = """DELETE FROM bucket WHERE key IN
    (SELECT key FROM bucket WHERE forget_us <= ? LIMIT ?) RETURNING key"""
_ALL_BUCKETS = "SELECT key, identity, state FROM bucket"
_ALL_RESERVATIONS = """SELECT tenant, request_id, state, due_us, holds FROM reservation
    ORDER BY request_id LIMIT ?"""
_NEVER_US = 2**53  # later than any time SQLite is given


class Sql(Protocol):
    """The object's SQLite."""

    def rows(self, statement: str, *values: Value) -> list[list[Value]]:
        """Run one statement and return its rows."""
        ...

    def run(self, statement: str, *values: Value) -> None:
        """Run one statement for its effect."""
        ...


def _bucket(row: Sequence[Value]) -> Bucket:
    key, identity, state = (str(value) for value in row)
    tenant, budget, partition, unit, window = json.loads(identity)
    return decode_state(Bucket(key, tenant, budget, partition, unit, Window(*window)), state)


def _reservation(row: Sequence[Value]) -> Reservation:
    tenant, request_id, state, due_us, holds = row
    kind: EntryState = "settled"
    if state == "open":
        kind = "open"
    elif state == "expired":
        kind = "expired"
    return Reservation(
        str(tenant), str(request_id), kind, int(due_us or 0), decode_holds(str(holds))
    )


def _bucket_row(bucket: Bucket, forget_us: int) -> list[Value]:
    window = window_fields(bucket.window)
    identity = (bucket.tenant, bucket.budget, bucket.partition, bucket.unit, window)
    text = json.dumps(identity, separators=(",", ":"))
    return [bucket.key, text, encode_state(bucket), forget_us]


def _reservation_row(reservation: Reservation) -> list[Value]:
    return [
        reservation.tenant,
        reservation.request_id,
        reservation.state,
        reservation.due_us,
        encode_holds(reservation.holds),
    ]


class SqlShelf:
    """`promptward.ledger.Shelf` over SQL. Times are microseconds, exact in a double (< 2**53).

    Every transaction ends with `flush`; one that fails, with `forget`.
    """

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self.forget()

    def forget(self) -> None:
        """Drop everything in memory, unwritten changes too."""
        self._buckets: dict[str, Bucket] = {}
        self._reservations: dict[Key, Reservation] = {}
        self._changed_buckets: dict[str, int] = {}
        self._changed_reservations: set[Key] = set()
        self._dropped_reservations: set[Key] = set()
        self._next_due_us: int | None = None  # nothing is due before; None: not known

    def flush(self) -> None:
        """Write what changed."""
        if self._changed_buckets:
            changed = self._changed_buckets.items()
            rows = [_bucket_row(self._buckets[key], forget_us) for key, forget_us in changed]
            self._sql.run(_SAVE_BUCKETS, json.dumps(rows))
            self._changed_buckets = {}
        if self._changed_reservations:
            held = [_reservation_row(self._reservations[k]) for k in self._changed_reservations]
            self._sql.run(_SAVE_RESERVATIONS, json.dumps(held))
            self._changed_reservations = set()
        if self._dropped_reservations:
            self._sql.run(_DROP_RESERVATIONS, json.dumps(list(self._dropped_reservations)))
            self._dropped_reservations = set()
        if len(self._buckets) + len(self._reservations) > MAX_ROWS_IN_MEMORY:
            self.forget()

    # --- promptward.ledger.Shelf ------------------------------------------------------------------

    def load_bucket(self, key: str) -> Bucket | None:
        bucket = self._buckets.get(key)
        if bucket is None:
            rows = self._sql.rows(_LOAD_BUCKET, key)
            if rows:
                bucket = self._buckets[key] = _bucket(rows[0])
        return bucket

    def save_bucket(self, bucket: Bucket, forget_us: int) -> None:
        self._buckets[bucket.key] = bucket
        known_us = self._changed_buckets.get(bucket.key, 0)
        self._changed_buckets[bucket.key] = max(forget_us, known_us)

    def load_reservation(self, tenant: str, request_id: str) -> Reservation | None:
        key = (tenant, request_id)
        reservation = self._reservations.get(key)
        if reservation is None and key not in self._dropped_reservations:
            rows = self._sql.rows(_LOAD_RESERVATION, tenant, request_id)
            if rows:
                reservation = self._reservations[key] = _reservation(rows[0])
        return reservation

    def save_reservation(self, reservation: Reservation) -> None:
        key = (reservation.tenant, reservation.request_id)
        self._reservations[key] = reservation
        self._changed_reservations.add(key)
        self._dropped_reservations.discard(key)
        if self._next_due_us is not None:
            self._next_due_us = min(self._next_due_us, reservation.due_us)

    def due(self, now_us: int, at_most: int) -> Sequence[Reservation]:
        if self._next_due_us is not None and now_us < self._next_due_us:
            return ()
        self.flush()
        found = []
        for row in self._sql.rows(_LOAD_DUE, now_us, at_most):
            stored = _reservation(row)
            key = (stored.tenant, stored.request_id)
            found.append(self._reservations.setdefault(key, stored))
        self._next_due_us = None
        if not found:
            ((earliest,),) = self._sql.rows(_NEXT_DUE)
            self._next_due_us = _NEVER_US if earliest is None else int(earliest)
        return found

    def drop_reservation(self, reservation: Reservation) -> None:
        key = (reservation.tenant, reservation.request_id)
        self._reservations.pop(key, None)
        self._changed_reservations.discard(key)
        self._dropped_reservations.add(key)

    def drop_buckets(self, now_us: int, at_most: int) -> None:
        self.flush()
        for (key,) in self._sql.rows(_DROP_BUCKETS, now_us, at_most):
            self._buckets.pop(str(key), None)

    # --- the operator's view ----------------------------------------------------------------------

    def buckets(self, budget: str | None, containing: str, at_most: int) -> list[Bucket]:
        """Copies of the buckets of `budget` (all when None) whose partition holds `containing`."""
        self.flush()
        matching = [
            bucket
            for bucket in map(_bucket, self._sql.rows(_ALL_BUCKETS))
            if (budget is None or bucket.budget == budget) and containing in bucket.partition
        ]
        matching.sort(key=lambda b: (b.budget, b.partition, b.key))
        return matching[:at_most]

    def reservations(self, at_most: int) -> list[Reservation]:
        """Copies of everything remembered, by request id."""
        self.flush()
        return [_reservation(row) for row in self._sql.rows(_ALL_RESERVATIONS, at_most)]
