"""Every store decides like the reference, whatever happens in whatever order.

The reference is the in-memory ledger, which runs the shared arithmetic itself and is held against
plain definitions in test_ledger_never_overspends.py. The state machine plays the same interleaving
of reservations, settlements, duplicates, clock jumps (back and forth) and restarts on every store
and compares outcomes, states, entries and usage after each step.
"""

from __future__ import annotations

import shutil
import tempfile
from itertools import cycle
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from promptward.ports import BudgetLine, Window
from promptward.testing.ledgers import LedgerDriver
from promptward.testing.redis_server import RedisServer
from promptward.testing.stepped_clock import SteppedClock
from promptward_ports.ledgers.memory import MemoryLedger
from promptward_ports.ledgers.redis_connect import connect_blocking, parse_redis_url
from promptward_ports.ledgers.redis_ledger import RedisLedger
from promptward_ports.ledgers.sqlite import SqliteLedger

RETENTION_S = 120

WINDOWS = (
    Window("fixed", 60),
    Window("fixed", 86_400, "Europe/Berlin"),
    Window("fixed", 30 * 86_400, months=1),
    Window("sliding", 32),
    Window("token_bucket", 30),
    Window("concurrent", 60),
)
LIMITS = (0, 1, 7, 100, 10**9, 4 * 10**15)
AMOUNTS = (0, 1, 3, 40, 10**6, 10**12)

lines = st.builds(
    BudgetLine,
    st.sampled_from(["user", "team"]),
    st.sampled_from(["claim.sub=ann", "claim.sub=bob"]),
    st.just("total_tokens"),
    st.sampled_from(LIMITS),
    st.sampled_from(AMOUNTS),
    st.sampled_from(WINDOWS),
    st.booleans(),
)
line_sets = st.lists(
    lines, min_size=1, max_size=4, unique_by=lambda x: (x.budget, x.partition, x.window)
)
request_ids = st.integers(0, 12).map(lambda n: f"r{n}")
amounts = st.dictionaries(
    st.sampled_from(["user", "team", "other"]), st.sampled_from(AMOUNTS), max_size=3
)
jumps = st.one_of(
    st.sampled_from([0.000001, 0.5, 1, 30, 59.999999, 60, 86_400]),
    st.floats(0, 100).map(lambda s: round(s, 6)),
    st.sampled_from([-0.5, -10, -61, -3600, -40 * 86_400]),
)


class TakingTurns:
    """A ledger whose operations go through several in turn, as those of processes do."""

    def __init__(self, *ledgers: SqliteLedger) -> None:
        self._ledgers = ledgers
        self._turns = cycle(ledgers)

    def __getattr__(self, operation: str) -> Any:
        return getattr(next(self._turns), operation)

    async def close(self) -> None:
        for ledger in self._ledgers:
            await ledger.close()


class StoresAgree(RuleBasedStateMachine):
    """The same steps on every store."""

    server: RedisServer
    number = 0

    @initialize()
    def open_stores(self) -> None:
        StoresAgree.number += 1
        self.clock = SteppedClock()
        self.directory = Path(tempfile.mkdtemp(prefix="pw"))
        self.reference = LedgerDriver("memory", self._memory, self.clock, False)
        self.stores = [
            LedgerDriver("sqlite", self._sqlite, self.clock, True),
            LedgerDriver("sqlite, in turn", self._sqlite_in_turn, self.clock, True),
            LedgerDriver("redis", self._redis, self.clock, True),
        ]

    def _memory(self) -> MemoryLedger:
        return MemoryLedger(self.clock, retention_s=RETENTION_S)

    def _sqlite_in_turn(self) -> Any:
        return TakingTurns(*(self._sqlite("shared.db") for _ in range(2)))

    def _sqlite(self, name: str = "ledger.db") -> SqliteLedger:
        path = self.directory / name
        return SqliteLedger(path, timeout_s=5, clock=self.clock, retention_s=RETENTION_S)

    def _redis(self) -> RedisLedger:
        return RedisLedger(
            connect_blocking(parse_redis_url(self.server.url), 5),
            prefix=f"machine{self.number}",
            retention_s=RETENTION_S,
            clock=self.clock,
        )

    def same(self, operation: str, *args: Any, **kwargs: Any) -> None:
        expected = getattr(self.reference, operation)(*args, **kwargs)
        for store in self.stores:
            assert getattr(store, operation)(*args, **kwargs) == expected, store.name

    @rule(
        request_id=request_ids,
        lines=line_sets,
        ttl_s=st.sampled_from([1, 45, 3600]),
        charge_now=st.booleans(),
    )
    def reserve(
        self, request_id: str, lines: list[BudgetLine], ttl_s: int, charge_now: bool
    ) -> None:
        charge_now = charge_now and all(line.window.type != "concurrent" for line in lines)
        self.same("reserve", request_id, *lines, ttl_s=ttl_s, charge_now=charge_now)

    @rule(request_id=request_ids, amounts=amounts)
    def settle(self, request_id: str, amounts: dict[str, int]) -> None:
        self.same("settle", request_id, **amounts)

    @rule(seconds=jumps)
    def move_the_clock(self, seconds: float) -> None:
        self.clock.step(seconds)

    @rule()
    def restart(self) -> None:
        for store in self.stores:
            store.restart()

    @precondition(lambda self: self.reference.usage())
    @rule(which=st.integers(0, 20), raised=st.one_of(st.none(), st.sampled_from(LIMITS)))
    def administer(self, which: int, raised: int | None) -> None:
        rows = [row for row in self.reference.usage() if row.spent or row.reserved]
        if not rows:
            return
        row = rows[which % len(rows)]
        for store in (self.reference, *self.stores):
            (bucket,) = (
                r.bucket
                for r in store.usage(budget=row.budget)
                if (r.partition, r.window) == (row.partition, row.window)
            )
            if raised is None:
                assert store.run(store.ledger.reset(bucket))
            else:
                assert store.run(store.ledger.raise_limit(bucket, limit=raised, for_s=50))

    @invariant()
    def the_books_are_the_same(self) -> None:
        if not hasattr(self, "stores"):
            return
        entries, usage = self.reference.entries(), _levels(self.reference)
        for store in self.stores:
            assert store.entries() == entries, store.name
            assert _levels(store) == usage, store.name

    def teardown(self) -> None:
        if hasattr(self, "stores"):
            for store in self.stores:
                store.run(store.ledger.close())
            shutil.rmtree(self.directory)


def _levels(store: LedgerDriver) -> list[tuple[object, ...]]:
    """What is in use: stores may forget empty buckets at different times."""
    return sorted(
        (r.budget, r.partition, r.window.type, r.window.duration_s, r.limit, r.spent, r.reserved)
        for r in store.usage()
        if r.spent or r.reserved
    )


def test_stores_agree() -> None:
    with tempfile.TemporaryDirectory(prefix="pw") as directory:
        server = RedisServer(Path(directory))
        server.start()
        StoresAgree.server = server
        try:
            run_state_machine_as_test(
                StoresAgree,
                settings=settings(
                    max_examples=60,
                    stateful_step_count=30,
                    deadline=None,
                    # Shrinking replays the stores for minutes; the seed is in the report.
                    phases=[Phase.explicit, Phase.reuse, Phase.generate],
                    suppress_health_check=[HealthCheck.too_slow],
                ),
            )
        finally:
            server.stop()
