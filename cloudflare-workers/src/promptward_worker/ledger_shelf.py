"""The ledger's rows in a Durable Object's SQLite.

Durable Objects coalesce all writes between two awaits into one atomic transaction, and a method
that never awaits is never interleaved with another: the two together are the transaction that
`promptward.ledger.Book` asks for.

Source: https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
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

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS bucket (key TEXT PRIMARY KEY, identity TEXT NOT NULL,
    state TEXT NOT NULL, forget_us INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS bucket_forget ON bucket (forget_us)",
    """CREATE TABLE IF NOT EXISTS reservation (tenant TEXT NOT NULL, request_id TEXT NOT NULL,
    state TEXT NOT NULL, due_us INTEGER NOT NULL, holds TEXT NOT NULL,
    PRIMARY KEY (tenant, request_id)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS reservation_due ON reservation (due_us)",
)
_RESERVATION = "tenant, request_id, state, due_us, holds"


class Sql(Protocol):
    """Runs one statement and returns its rows."""

    def __call__(self, statement: str, *values: Value) -> list[list[Value]]: ...


def _bucket(row: Sequence[Value]) -> Bucket:
    key, identity, state = (str(value) for value in row)
    tenant, budget, partition, unit, window = json.loads(identity)
    return decode_state(Bucket(key, tenant, budget, partition, unit, Window(*window)), state)


def _reservation(row: Sequence[Value]) -> Reservation:
    tenant, request_id, state, due_us, holds = row
    kind: EntryState = "open" if state == "open" else "settled"
    if state == "expired":
        kind = "expired"
    return Reservation(
        str(tenant), str(request_id), kind, int(due_us or 0), decode_holds(str(holds))
    )


class SqlShelf:
    """`promptward.ledger.Shelf` over SQL. Times are microseconds, exact in a double (< 2**53)."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql

    def load_bucket(self, key: str) -> Bucket | None:
        rows = self._sql("SELECT key, identity, state FROM bucket WHERE key = ?", key)
        return _bucket(rows[0]) if rows else None

    def save_bucket(self, bucket: Bucket, forget_us: int) -> None:
        identity = json.dumps(
            [
                bucket.tenant,
                bucket.budget,
                bucket.partition,
                bucket.unit,
                window_fields(bucket.window),
            ],
            separators=(",", ":"),
        )
        self._sql(
            "INSERT INTO bucket VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
            " state = excluded.state, forget_us = max(forget_us, excluded.forget_us)",
            bucket.key,
            identity,
            encode_state(bucket),
            forget_us,
        )

    def load_reservation(self, tenant: str, request_id: str) -> Reservation | None:
        rows = self._sql(
            f"SELECT {_RESERVATION} FROM reservation WHERE tenant = ? AND request_id = ?",  # noqa: S608
            tenant,
            request_id,
        )
        return _reservation(rows[0]) if rows else None

    def save_reservation(self, reservation: Reservation) -> None:
        self._sql(
            "INSERT OR REPLACE INTO reservation VALUES (?, ?, ?, ?, ?)",
            reservation.tenant,
            reservation.request_id,
            reservation.state,
            reservation.due_us,
            encode_holds(reservation.holds),
        )

    def due(self, now_us: int, at_most: int) -> Sequence[Reservation]:
        rows = self._sql(
            f"SELECT {_RESERVATION} FROM reservation WHERE due_us <= ?"  # noqa: S608
            " ORDER BY due_us LIMIT ?",
            now_us,
            at_most,
        )
        return [_reservation(row) for row in rows]

    def drop_reservation(self, reservation: Reservation) -> None:
        self._sql(
            "DELETE FROM reservation WHERE tenant = ? AND request_id = ?",
            reservation.tenant,
            reservation.request_id,
        )

    def drop_buckets(self, now_us: int, at_most: int) -> None:
        self._sql(
            "DELETE FROM bucket WHERE key IN (SELECT key FROM bucket WHERE forget_us <= ? LIMIT ?)",
            now_us,
            at_most,
        )

    def buckets(self, budget: str | None, containing: str, at_most: int) -> list[Bucket]:
        """Buckets of `budget` (all when None) whose partition text holds `containing`."""
        rows = self._sql("SELECT key, identity, state FROM bucket")
        found: Iterable[Bucket] = (_bucket(row) for row in rows)
        matching = [
            b for b in found if (budget is None or b.budget == budget) and containing in b.partition
        ]
        matching.sort(key=lambda b: (b.budget, b.partition, b.key))
        return matching[:at_most]

    def reservations(self, at_most: int) -> list[Reservation]:
        """Everything remembered, by request id."""
        rows = self._sql(
            f"SELECT {_RESERVATION} FROM reservation ORDER BY request_id LIMIT ?",  # noqa: S608
            at_most,
        )
        return [_reservation(row) for row in rows]
