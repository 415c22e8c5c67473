"""Tables of the SQLite ledger.

`forget_us` and `due_us` are what the ledger sweeps by; both are indexed. Partition texts are kept
for operators (`promptward budget list`); the key is a digest.
"""

from __future__ import annotations

USER_VERSION = 1
"""`PRAGMA user_version` of this layout; a file with another one is refused, not migrated."""

MAX_PAGES = 262_144
"""1 GiB at SQLite's 4096-byte pages; past that the store is full and refuses."""

CHECKPOINT_PAGES = 8_000
"""The write-ahead log grows to 32 MB before it is folded in and synced: eight times as rarely as
by default; the slowest calls are those that wait for it."""

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS bucket (
        key TEXT PRIMARY KEY,
        tenant TEXT NOT NULL, budget TEXT NOT NULL, partition TEXT NOT NULL, unit TEXT NOT NULL,
        type TEXT NOT NULL, duration_s INTEGER NOT NULL, timezone TEXT NOT NULL,
        months INTEGER NOT NULL,
        state BLOB NOT NULL, forget_us INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS bucket_forget ON bucket (forget_us)",
    """CREATE TABLE IF NOT EXISTS reservation (
        request_id TEXT NOT NULL, tenant TEXT NOT NULL,
        state TEXT NOT NULL, due_us INTEGER NOT NULL, holds TEXT NOT NULL,
        PRIMARY KEY (request_id, tenant)
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS reservation_due ON reservation (due_us)",
)
