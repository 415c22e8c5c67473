"""Calls of the Redis ledger's script, encoded and decoded: shared by both clients, no I/O.

Invariants: one call is one EVALSHA whose keys all carry the tenant's hash tag; keys hold digests
only. Numbers travel as decimal integers (Redis truncates Lua's doubles to integers in replies).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import cast

from promptward.errors import PortError
from promptward.ledger import (
    RETENTION_S,
    UnknownTimezoneError,
    bucket_key,
    digest,
    fixed_bounds,
    window_fields,
)
from promptward.ledger.book import SWEEP_AT_MOST
from promptward.ledger.bounds import check_reserve, check_settle
from promptward.ports import (
    BudgetLine,
    EntryState,
    LedgerEntry,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
    UsageRow,
    Window,
    WindowType,
)

SCRIPT = files(__package__).joinpath("redis.lua").read_text("utf-8")
SCRIPT_SHA = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

SECOND_US = 1_000_000
REFUSED, GRANTED, BOUNDS_NEEDED, KNOWN = range(4)
MAX_CACHED_WINDOWS = 256

Reply = Sequence[object]
Argument = str | int


@dataclass(frozen=True, slots=True)
class Call:
    """Keys and arguments of one EVALSHA."""

    keys: tuple[str, ...]
    args: tuple[Argument, ...]


class BoundsNeeded(Exception):  # noqa: N818 (a question of the script, not an error)
    """The script's window of `line` is not the one it was told; it is at `time_us`."""

    def __init__(self, line: int, time_us: int) -> None:
        super().__init__(line, time_us)
        self.line = line
        self.time_us = time_us


class RedisProtocol:
    """Encodes operations to calls and decodes their replies.

    Args:
        prefix: first part of every key.
        retention_s: how long a closed reservation is remembered.
    """

    def __init__(self, prefix: str = "pw", *, retention_s: int = RETENTION_S) -> None:
        self._prefix = prefix
        self._retention_us = retention_s * SECOND_US
        self._bounds: dict[Window, tuple[int, int]] = {}

    def reserve(
        self,
        request: ReserveRequest,
        guess_us: int,
        now_us: int | None,
        times: dict[int, int],
    ) -> Call:
        """The call for `request`.

        Args:
            guess_us: about the store's time, to tell the script the bounds of fixed windows.
            now_us: the time to go by instead of the store's own (tests).
            times: what `BoundsNeeded` said, by line.

        Raises:
            PortError: the request is out of bounds.
        """
        check_reserve(request)
        tag = digest(request.tenant)[:16]
        keys = [self._reservation_key(tag, request.tenant, request.request_id), self._due_key(tag)]
        args: list[Argument] = [
            *self._head("reserve", now_us),
            request.request_id,
            request.tenant,
            request.ttl_s * SECOND_US,
        ]
        for index, line in enumerate(request.lines):
            key = bucket_key(request.tenant, line.budget, line.partition, line.unit, line.window)
            keys.append(f"{self._prefix}:{{{tag}}}:b:{key}")
            args += self._line(request.tenant, line, times.get(index, guess_us))
        return Call(tuple(keys), tuple(args))

    def reserved(self, request: ReserveRequest, reply: Reply) -> ReserveOutcome:
        """Decode `reserve`'s reply.

        Raises:
            BoundsNeeded: call again with that line's time.
        """
        kind, *rest = reply
        if kind == BOUNDS_NEEDED:
            raise BoundsNeeded(_int(rest[0]), _int(rest[1]))
        if kind == KNOWN:
            return ReserveOutcome(True, _states_with_meta(rest))
        exceeded, wait_us = None, -1
        if kind == REFUSED:
            exceeded, wait_us = _int(rest[0]), _int(rest[1])
            rest = rest[2:]
        states = tuple(
            LineState(x.budget, x.partition, x.unit, *_level(rest[4 * i : 4 * i + 4]))
            for i, x in enumerate(request.lines)
        )
        retry_after_s = None if wait_us < 0 else wait_us / SECOND_US
        return ReserveOutcome(kind == GRANTED, states, exceeded, retry_after_s)

    def settle(self, request: SettleRequest, now_us: int | None) -> Call:
        """The call for `request`.

        Raises:
            PortError: the request is out of bounds.
        """
        check_settle(request)
        tag = digest(request.tenant)[:16]
        keys = (self._reservation_key(tag, request.tenant, request.request_id), self._due_key(tag))
        amounts = [part for pair in request.amounts.items() for part in pair]
        return Call(keys, (*self._head("settle", now_us), *amounts))

    def settled(self, reply: Reply) -> tuple[LineState, ...]:
        """Decode `settle`'s reply."""
        return _states_with_meta(reply)

    def sweep(self, due_key: str, now_us: int | None) -> Call:
        return Call((due_key,), self._head("sweep", now_us))

    def read(self, key: str, now_us: int | None) -> Call:
        return Call((key,), self._head("read", now_us))

    def usage_row(self, key: str, reply: Reply) -> UsageRow | None:
        """Decode `read`'s reply; None when the bucket has gone meanwhile."""
        if not reply:
            return None
        tenant, budget, partition, unit, window = _meta(reply[0])
        level = _level(reply[1:5])
        return UsageRow(self._bucket_id(key), tenant, budget, partition, unit, window, *level)

    def raise_limit(self, bucket: str, limit: int, for_s: int, now_us: int | None) -> Call | None:
        """The call, or None when `bucket` is not a name `usage` gave."""
        key = self._bucket_key_of(bucket)
        head = self._head("raise", now_us)[:3]
        return None if key is None else Call((key,), (*head, limit, for_s * SECOND_US))

    def reset(self, bucket: str, now_us: int | None) -> Call | None:
        """The call, or None when `bucket` is not a name `usage` gave."""
        key = self._bucket_key_of(bucket)
        return None if key is None else Call((key,), self._head("reset", now_us))

    def entry(self, key: str, now_us: int | None) -> Call:
        return Call((key,), self._head("entry", now_us))

    def entries(self, reply: Reply) -> list[LedgerEntry]:
        """Decode `entry`'s reply."""
        if not reply:
            return []
        request_id, tenant, state = (_text(part) for part in reply[:3])
        found = []
        for meta, amount in zip(reply[3::2], reply[4::2], strict=True):
            _, budget, partition, unit, _ = _meta(meta)
            found.append(
                LedgerEntry(
                    request_id,
                    tenant,
                    budget,
                    partition,
                    unit,
                    _int(amount),
                    cast(EntryState, state),
                )
            )
        return found

    def pattern(self, kind: str) -> str:
        """SCAN pattern of all keys of a kind: `due`, `r:*` or `b:*`."""
        return f"{self._prefix}:{{*}}:{kind}"

    def _head(self, operation: str, now_us: int | None) -> tuple[Argument, ...]:
        return (operation, "" if now_us is None else now_us, self._retention_us, SWEEP_AT_MOST)

    def _line(self, tenant: str, line: BudgetLine, guess_us: int) -> tuple[Argument, ...]:
        window = line.window
        start_us, end_us = self._bounds_of(window, guess_us) if window.type == "fixed" else (0, 0)
        meta = (tenant, line.budget, line.partition, line.unit, *window_fields(window))
        return (
            line.limit,
            line.amount,
            1 if line.soft else 0,
            window.type,
            window.duration_s * SECOND_US,
            start_us,
            end_us,
            line.budget,
            json.dumps(meta, separators=(",", ":")),
        )

    def _bounds_of(self, window: Window, time_us: int) -> tuple[int, int]:
        known = self._bounds.get(window)
        if known is not None and known[0] <= time_us < known[1]:
            return known
        try:
            bounds = fixed_bounds(window, time_us)
        except (UnknownTimezoneError, ValueError) as error:
            raise PortError("ledger", str(error)) from error
        if len(self._bounds) >= MAX_CACHED_WINDOWS:
            self._bounds.clear()
        self._bounds[window] = bounds
        return bounds

    def _reservation_key(self, tag: str, tenant: str, request_id: str) -> str:
        return f"{self._prefix}:{{{tag}}}:r:{digest(tenant, request_id)}"

    def _due_key(self, tag: str) -> str:
        return f"{self._prefix}:{{{tag}}}:due"

    def _bucket_id(self, key: str) -> str:
        tag, _, bucket = key[len(self._prefix) + 2 :].partition("}:b:")
        return f"{tag}.{bucket}"

    def _bucket_key_of(self, bucket: str) -> str | None:
        tag, dot, key = bucket.partition(".")
        if not dot or not (tag + key).isalnum():
            return None
        return f"{self._prefix}:{{{tag}}}:b:{key}"


def _states_with_meta(reply: Reply) -> tuple[LineState, ...]:
    states = []
    for start in range(0, len(reply), 5):
        _, budget, partition, unit, _ = _meta(reply[start])
        states.append(LineState(budget, partition, unit, *_level(reply[start + 1 : start + 5])))
    return tuple(states)


def _level(reply: Reply) -> tuple[int, int, int, float]:
    limit, spent, reserved, reset_us = (_int(part) for part in reply)
    return limit, spent, reserved, reset_us / SECOND_US


def _meta(part: object) -> tuple[str, str, str, str, Window]:
    tenant, budget, partition, unit, kind, duration_s, timezone, months = json.loads(_text(part))
    window = Window(cast(WindowType, kind), duration_s, timezone, months)
    return tenant, budget, partition, unit, window


def _int(part: object) -> int:
    if isinstance(part, int):
        return part
    raise PortError("ledger", "redis: a reply is not ours")


def _text(part: object) -> str:
    if isinstance(part, bytes):
        return part.decode("utf-8", "surrogatepass")
    raise PortError("ledger", "redis: a reply is not ours")
