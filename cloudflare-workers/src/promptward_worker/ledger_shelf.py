"""The ledger's rows in a Durable Object's SQLite.

Durable Objects coalesce all writes between two awaits into one atomic transaction, and a method
that never awaits is never interleaved with another: the two together are the transaction that
`promptward.ledger.Book` asks for.

A statement costs 0.1 ms or more at the border to JavaScript, and what it changes is on disk before
anybody hears of the call. An object's memory is its own, so rows stay there once read or written
(of closed reservations only the keys: nobody asks for them but a repeated request), and all writes
of a call are one statement: it happens or it does not, without a transaction around it. A call may
leave its rows for the next statement (`keep`): one whose loss is on the safe side, because memory
is lost with the object.

Source: https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Protocol, cast

from promptward.jsoncompact import compact_encoder
from promptward.ledger import (
    Bucket,
    Hold,
    Reservation,
    State,
    decode_holds,
    decode_state,
    encode_state,
)
from promptward.ledger.keys import digest, window_fields
from promptward.ports import Window

Value = str | int | float | None
Row = tuple[object, ...]
_compact = compact_encoder()
_hold_row = attrgetter(*(field.name for field in fields(Hold)))  # as `decode_holds` reads it

SCHEMA = (
    # kind: 'b' bucket, 'r' reservation. identity: what never changes of a bucket; the tenant and
    # id of a reservation. state: see `promptward.ledger`. when_us: forget a bucket, see to a
    # reservation.
    """CREATE TABLE IF NOT EXISTS ledger (kind TEXT NOT NULL, key TEXT NOT NULL,
    identity TEXT NOT NULL, state TEXT NOT NULL, holds TEXT NOT NULL, when_us INTEGER NOT NULL,
    PRIMARY KEY (kind, key)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS ledger_when ON ledger (kind, when_us)",
)
# A bucket or an open reservation takes about 1 KB in Python, a key of a closed one 0.1 KB. Python's
# memory never shrinks, and has to stay below half of an object's 128 MB (64 MB).
MAX_ROWS_IN_MEMORY = 20_000
SWEEP_PAUSE_US = 1_000_000
"""How long nobody looks for due reservations once all were found: a busy object always has some,
and looking for them, forgetting them and forgetting buckets are a statement each."""

_LOAD_BUCKET = "SELECT key, identity, state FROM ledger WHERE kind = 'b' AND key = ?"
_LOAD_RESERVATION = """SELECT identity, state, holds, when_us FROM ledger
    WHERE kind = 'r' AND key = ?"""
_LOAD_DUE = """SELECT identity, state, holds, when_us FROM ledger
    WHERE kind = 'r' AND when_us <= ? ORDER BY when_us LIMIT ?"""
_NEXT_DUE = "SELECT min(when_us) FROM ledger WHERE kind = 'r'"
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM ledger WHERE kind = 'r' LIMIT 1)"
_SAVE = """INSERT INTO ledger
    SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5
    FROM json_each(?) WHERE true ON CONFLICT (kind, key) DO UPDATE SET
    state = excluded.state, holds = excluded.holds,
    when_us = CASE kind WHEN 'b' THEN max(when_us, excluded.when_us) ELSE excluded.when_us END"""
_DROP_RESERVATIONS = """DELETE FROM ledger WHERE kind = 'r' AND key IN
    (SELECT value FROM json_each(?))"""
_DROP_BUCKETS = """DELETE FROM ledger WHERE kind = 'b' AND key IN
    (SELECT key FROM ledger WHERE kind = 'b' AND when_us <= ? LIMIT ?) RETURNING key"""
_ALL_BUCKETS = "SELECT key, identity, state FROM ledger WHERE kind = 'b'"
_ALL_RESERVATIONS = """SELECT identity, state, holds, when_us FROM ledger WHERE kind = 'r'
    ORDER BY identity->>1 LIMIT ?"""
_NEVER_US = 2**53  # later than any time SQLite is given


class Sql(Protocol):
    """The object's SQLite."""

    def rows(self, statement: str, *values: Value) -> list[list[Value]]:
        """Run one statement and return its rows."""
        ...

    def run(self, statement: str, *values: Value) -> None:
        """Run one statement for its effect."""
        ...


@lru_cache(maxsize=1024)
def _row_key(tenant: str, request_id: str) -> str:
    """A reservation's key, which reserving and settling each need twice."""
    return digest(tenant, request_id)


def _bucket(row: Sequence[Value]) -> Bucket:
    key, identity, state = (str(value) for value in row)
    tenant, budget, partition, unit, window = json.loads(identity)
    return decode_state(Bucket(key, tenant, budget, partition, unit, Window(*window)), state)


def _reservation(row: Sequence[Value]) -> Reservation:
    identity, state, holds, due_us = row
    tenant, request_id = json.loads(str(identity))
    return Reservation(
        tenant, request_id, cast(State, state), int(due_us or 0), decode_holds(str(holds))
    )


# Lists in a row are stored as JSON text: one encoder call for all rows of a statement.
def _bucket_row(bucket: Bucket, forget_us: int) -> Row:
    window = window_fields(bucket.window)
    identity = (bucket.tenant, bucket.budget, bucket.partition, bucket.unit, window)
    return ("b", bucket.key, identity, encode_state(bucket), "", forget_us)


def _reservation_row(key: str, reservation: Reservation) -> Row:
    identity = (reservation.tenant, reservation.request_id)
    holds = [_hold_row(hold) for hold in reservation.holds]
    return ("r", key, identity, reservation.state, holds, reservation.due_us)


class SqlShelf:
    """`promptward.ledger.Shelf` over SQL. Times are microseconds, exact in a double (< 2**53).

    Every call ends with `flush` or `keep`; one that fails, with `forget`.
    """

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        self._kept: dict[str, Row] = {}  # of calls that ended well, to be written; by key
        self._forget_us: dict[str, int] = {}  # until when to keep buckets that are to be written
        self._empty()

    def _empty(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._reservations: dict[str, Reservation] = {}
        self._closed: set[str] = set()  # keys of reservations that are in SQLite only
        self._changed_buckets: set[str] = set()
        self._changed_reservations: set[str] = set()
        self._dropped_reservations: set[str] = set()
        self._next_due_us: int | None = None  # nothing is due before; None: not known
        self._has_all: bool | None = None  # whether memory holds every reservation; None: not known

    def forget(self) -> None:
        """Drop everything in memory and the changes of this call; those of earlier ones stay."""
        self._empty()
        self._write_kept()

    def keep(self) -> None:
        """End a call whose changes the next statement writes."""
        rows = {k: _bucket_row(self._buckets[k], self._forget_us[k]) for k in self._changed_buckets}
        rows |= {k: _reservation_row(k, self._reservations[k]) for k in self._changed_reservations}
        self._kept |= rows
        self._changed_buckets, self._changed_reservations = set(), set()

    @property
    def has_kept(self) -> bool:
        """Whether rows wait to be written."""
        return bool(self._kept)

    @property
    def reservations_in_memory(self) -> int:
        """How many are held in full."""
        return len(self._reservations)

    def flush(self) -> None:
        """Write what changed, in one statement."""
        self.keep()
        self._write_kept()
        if self._dropped_reservations:
            self._sql.run(_DROP_RESERVATIONS, _compact(list(self._dropped_reservations)))
            self._dropped_reservations = set()
        if len(self._buckets) + len(self._reservations) + len(self._closed) > MAX_ROWS_IN_MEMORY:
            self._empty()

    def _write_kept(self) -> None:
        rows, self._kept, self._forget_us = self._kept, {}, {}
        if rows:
            self._sql.run(_SAVE, _compact(list(rows.values())))
        for key in rows:
            reservation = self._reservations.get(key)
            if reservation is not None and reservation.state != "open":
                del self._reservations[key]
                self._closed.add(key)

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
        self._forget_us[bucket.key] = max(forget_us, self._forget_us.get(bucket.key, 0))
        self._changed_buckets.add(bucket.key)

    def load_reservation(self, tenant: str, request_id: str) -> Reservation | None:
        key = _row_key(tenant, request_id)
        reservation = self._reservations.get(key)
        if reservation is not None or key in self._dropped_reservations:
            return reservation
        if self._is_complete() and key not in self._closed:
            return None
        rows = self._sql.rows(_LOAD_RESERVATION, key)
        if rows:
            reservation = self._reservations[key] = _reservation(rows[0])
        return reservation

    def _is_complete(self) -> bool:
        """An object that began without reservations knows every one it made."""
        if self._has_all is None:
            ((count,),) = self._sql.rows(_COUNT)
            self._has_all = count == 0
        return self._has_all

    def save_reservation(self, reservation: Reservation) -> None:
        key = _row_key(reservation.tenant, reservation.request_id)
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
            key = _row_key(stored.tenant, stored.request_id)
            found.append(self._reservations.setdefault(key, stored))
        self._next_due_us = None
        if 0 < len(found) < at_most:
            self._next_due_us = now_us + SWEEP_PAUSE_US
        elif not found:
            ((earliest,),) = self._sql.rows(_NEXT_DUE)
            self._next_due_us = _NEVER_US if earliest is None else int(earliest)
        return found

    def drop_reservation(self, reservation: Reservation) -> None:
        key = _row_key(reservation.tenant, reservation.request_id)
        self._reservations.pop(key, None)
        self._closed.discard(key)
        self._changed_reservations.discard(key)
        self._kept.pop(key, None)
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
