"""Calls of the Redis ledger's scripts, encoded and decoded: shared by both clients, no I/O.

Invariants: one call is one EVALSHA whose keys all carry the tenant's hash tag; keys hold digests
only. Numbers travel as little-endian doubles, exact below 2**53 (layouts: lua/common.lua). One
argument more costs a client about a microsecond, so each line is one.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha1
from importlib.resources import files
from typing import Literal, cast

from promptward.errors import PortError
from promptward.jsoncompact import compact_encoder
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

ScriptName = Literal["reserve", "settle", "admin"]


@dataclass(frozen=True, slots=True)
class Script:
    """Source of a script and the digest Redis knows it by."""

    source: str
    sha: str


_PARTS: dict[ScriptName, tuple[str, ...]] = {
    "reserve": ("head", "quick", "reserve_quick", "common", "reserve"),
    "settle": ("head", "quick", "settle_quick", "common", "settle"),
    "admin": ("head", "common", "admin"),
}


def _script(name: ScriptName) -> Script:
    folder = files(__package__).joinpath("lua")
    source = "".join(folder.joinpath(f"{n}.lua").read_text("utf-8") for n in _PARTS[name])
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())


SCRIPTS: dict[ScriptName, Script] = {name: _script(name) for name in ("reserve", "settle", "admin")}

SECOND_US = 1_000_000
REFUSED, GRANTED, BOUNDS_NEEDED, KNOWN = range(4)
WINDOW_TYPES: dict[WindowType, int] = {
    "fixed": 1,
    "sliding": 2,
    "token_bucket": 3,
    "concurrent": 4,
}
STATES: dict[int, EntryState] = {1: "open", 2: "expired", 3: "settled", 4: "settled"}
MAX_CACHED_WINDOWS = 256
SWEEP = b"%d\0" % SWEEP_AT_MOST

ENCODE = compact_encoder()
SHORT = struct.Struct("<H")
ONE = struct.Struct("<d")
TWO = struct.Struct("<dd")
LEVEL = struct.Struct("<dddd")
LEVEL_AND_LENGTH = struct.Struct("<ddddH")
LINE = struct.Struct("<ddddddd")

Reply = bytes | int | Sequence[bytes | int]
Level = tuple[int, int, int, float]


@dataclass(frozen=True, slots=True)
class Call:
    """Script, keys and arguments of one EVALSHA."""

    script: Script
    keys: tuple[str, ...]
    args: tuple[bytes, ...]


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
        tenant = request.tenant
        args = [
            self._head(now_us),
            TWO.pack(request.ttl_s * SECOND_US, request.charge_now),
            _reservation_field(request.request_id),
        ]
        for index, line in enumerate(request.lines):
            args.append(self._line(tenant, line, times.get(index, guess_us)))
        return Call(SCRIPTS["reserve"], self._keys(tenant), tuple(args))

    def reserved(self, request: ReserveRequest, reply: Reply) -> ReserveOutcome:
        """Decode `reserve`'s reply.

        Raises:
            BoundsNeeded: call again with that line's time.
        """
        data = _bytes(reply)
        kind, at = data[0], 1
        if kind == KNOWN:
            return ReserveOutcome(True, _states_with_meta(data[1:]))
        exceeded, retry_after_s = None, None
        if kind in (REFUSED, BOUNDS_NEEDED):
            index, time_us = (int(number) for number in TWO.unpack_from(data, 1))
            if kind == BOUNDS_NEEDED:
                raise BoundsNeeded(index, time_us)
            exceeded, at = index, 1 + TWO.size
            retry_after_s = None if time_us < 0 else time_us / SECOND_US
        levels = LEVEL.iter_unpack(data[at:])
        states = tuple(
            LineState(line.budget, line.partition, line.unit, *_level(level))
            for line, level in zip(request.lines, levels, strict=True)
        )
        return ReserveOutcome(kind == GRANTED, states, exceeded, retry_after_s)

    def settle(self, request: SettleRequest, now_us: int | None) -> Call:
        """The call for `request`.

        Raises:
            PortError: the request is out of bounds.
        """
        check_settle(request)
        args = [self._head(now_us), _reservation_field(request.request_id)]
        for budget, amount in request.amounts.items():
            args += (budget.encode("utf-8", "surrogatepass"), ONE.pack(amount))
        return Call(SCRIPTS["settle"], self._keys(request.tenant), tuple(args))

    def settled(self, reply: Reply) -> tuple[LineState, ...]:
        """Decode `settle`'s reply."""
        return _states_with_meta(_bytes(reply))

    def sweep(self, tag: str, now_us: int | None) -> Call:
        return self._admin("sweep", tag, now_us)

    def read(self, tag: str, field: bytes, now_us: int | None) -> Call:
        return self._admin("read", tag, now_us, field)

    def usage_row(self, tag: str, field: bytes, reply: Reply) -> UsageRow | None:
        """Decode `read`'s reply; None when the bucket has gone meanwhile."""
        data = _bytes(reply)
        if not data:
            return None
        tenant, budget, partition, unit, window = _meta(data[LEVEL_AND_LENGTH.size :])
        level = _level(LEVEL.unpack_from(data))
        bucket = f"{tag}.{field[1:].decode()}"
        return UsageRow(bucket, tenant, budget, partition, unit, window, *level)

    def raise_limit(self, bucket: str, limit: int, for_s: int, now_us: int | None) -> Call:
        tag, field = _bucket(bucket)
        return self._admin("raise", tag, now_us, field, TWO.pack(limit, for_s * SECOND_US))

    def reset(self, bucket: str, now_us: int | None) -> Call:
        tag, field = _bucket(bucket)
        return self._admin("reset", tag, now_us, field)

    def entry(self, tag: str, field: bytes, now_us: int | None) -> Call:
        return self._admin("entry", tag, now_us, field)

    def entries(self, field: bytes, reply: Reply) -> list[LedgerEntry]:
        """Decode `entry`'s reply."""
        if not isinstance(reply, Sequence) or isinstance(reply, bytes) or not reply:
            return []
        request_id = field[1:].decode("utf-8", "surrogatepass")
        state, *lines = reply
        found = []
        for meta, amount in zip(lines[::2], lines[1::2], strict=True):
            tenant, budget, partition, unit, _ = _meta(_bytes(meta))
            (charged,) = ONE.unpack(_bytes(amount))
            named = (request_id, tenant, budget, partition, unit)
            found.append(LedgerEntry(*named, int(charged), STATES[cast(int, state)]))
        return found

    @property
    def pattern(self) -> str:
        """SCAN pattern of the keys that hold rows."""
        return f"{self._prefix}:{{*}}:rows"

    def tag_of(self, rows_key: str) -> str:
        """The hash tag in a key that `pattern` matches."""
        return rows_key[len(self._prefix) + 2 :].partition("}")[0]

    def rows_key(self, tag: str) -> str:
        """The key that holds the rows of a tenant."""
        return self._keys_of(tag)[0]

    def _admin(self, operation: str, tag: str, now_us: int | None, *args: bytes) -> Call:
        given = (self._head(now_us), operation.encode(), *args)
        return Call(SCRIPTS["admin"], self._keys_of(tag), given)

    def _keys(self, tenant: str) -> tuple[str, str]:
        return self._keys_of(_tag(tenant))

    def _keys_of(self, tag: str) -> tuple[str, str]:
        return f"{self._prefix}:{{{tag}}}:rows", f"{self._prefix}:{{{tag}}}:due"

    def _head(self, now_us: int | None) -> bytes:
        return TWO.pack(-1 if now_us is None else now_us, self._retention_us) + SWEEP

    def _line(self, tenant: str, line: BudgetLine, guess_us: int) -> bytes:
        window = line.window
        start_us, end_us = self._bounds_of(window, guess_us) if window.type == "fixed" else (0, 0)
        numbers = LINE.pack(
            line.limit,
            line.amount,
            line.soft,
            WINDOW_TYPES[window.type],
            window.duration_s * SECOND_US,
            start_us,
            end_us,
        )
        return numbers + _line_texts(tenant, line.budget, line.partition, line.unit, window)

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


@lru_cache(maxsize=1024)
def _tag(tenant: str) -> str:
    return digest(tenant)[:16]


def _reservation_field(request_id: str) -> bytes:
    return b"r" + request_id.encode("utf-8", "surrogatepass")


def _bucket(bucket: str) -> tuple[str, bytes]:
    """Hash tag and field of a bucket that `usage_row` named; of nothing for other names."""
    tag, _, key = bucket.partition(".")
    return (tag, f"b{key}".encode()) if (tag + key).isalnum() else ("none", b"none")


@lru_cache(maxsize=4096)
def _line_texts(tenant: str, budget: str, partition: str, unit: str, window: Window) -> bytes:
    """Bucket's field and budget's name, each behind its length, and meta: for the script."""
    field = f"b{bucket_key(tenant, budget, partition, unit, window)}".encode()
    name = budget.encode("utf-8", "surrogatepass")
    meta = ENCODE((tenant, budget, partition, unit, *window_fields(window))).encode()
    return SHORT.pack(len(field)) + field + SHORT.pack(len(name)) + name + meta


def _states_with_meta(data: bytes) -> tuple[LineState, ...]:
    states, at = [], 0
    while at < len(data):
        *level, length = LEVEL_AND_LENGTH.unpack_from(data, at)
        at += LEVEL_AND_LENGTH.size
        _, budget, partition, unit, _ = _meta(data[at : at + length])
        states.append(LineState(budget, partition, unit, *_level(level)))
        at += length
    return tuple(states)


def _level(numbers: Sequence[float]) -> Level:
    limit, spent, reserved, reset_us = numbers
    return int(limit), int(spent), int(reserved), reset_us / SECOND_US


@lru_cache(maxsize=4096)
def _meta(encoded: bytes) -> tuple[str, str, str, str, Window]:
    tenant, budget, partition, unit, kind, duration_s, timezone, months = json.loads(encoded)
    window = Window(cast(WindowType, kind), duration_s, timezone, months)
    return tenant, budget, partition, unit, window


def _bytes(reply: Reply) -> bytes:
    if isinstance(reply, bytes):
        return reply
    raise PortError("ledger", "redis: a reply is not ours")
