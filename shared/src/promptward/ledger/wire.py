"""Ledger calls as JSON text: how a ledger is asked that lives elsewhere.

Used between the Worker and its Durable Object, which run the same deployment, and over HTTP
between the Worker and the Envoy service, where the version is in the path (`RESERVE_PATH`). Text,
because one string crosses from JavaScript to Python at a hundredth of the cost of a nested object.
A noun is an array of its fields in order; the types of a whole array are compared in one step. A
change of a noun's fields is a new version: a peer of the other one answers 400 or PortError, never
a wrong amount.

Invariants: decoding raises only PortError; every decoded value has the type its noun declares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from promptward.errors import PortError
from promptward.exchange import JSON
from promptward.jsoncompact import compact_encoder
from promptward.ledger.keys import window_fields
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

T = TypeVar("T")
RESERVE_PATH = "/v1/ledger/reserve"
SETTLE_PATH = "/v1/ledger/settle"


def _plain(value: object) -> JSON:
    """What JSON has no form for: the one noun inside others."""
    assert isinstance(value, Window)
    return list(window_fields(value))


dump = compact_encoder(_plain)
"""Compact JSON."""
_parse = json.JSONDecoder().decode  # of a short text `json.loads` takes a fifth longer


# --- one noun -------------------------------------------------------------------------------------


class _Noun(Generic[T]):
    """Encodes and decodes one dataclass of ports."""

    def __init__(self, kind: type[T]) -> None:
        hints = get_type_hints(kind)
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        self.row: Callable[[T], tuple[JSON, ...]] = attrgetter(*names)
        self._kind = kind
        self._types = tuple(_JSON_TYPES.get(hints[name], str) for name in names)
        self._window = self._types.index(list) if list in self._types else None
        self._literals = [
            (i, frozenset(get_args(hints[name])))
            for i, name in enumerate(names)
            if hints[name] in (WindowType, EntryState)
        ]

    def decode(self, value: JSON) -> T:
        row = _list(value)
        if tuple(map(type, row)) != self._types:
            raise TypeError("a field has another type")
        for index, known in self._literals:
            if row[index] not in known:
                raise TypeError("unknown name")
        values: list[Any] = row
        if self._window is not None:
            values[self._window] = _window(*values[self._window])
        return self._kind(*values)

    def decode_all(self, value: JSON) -> tuple[T, ...]:
        return tuple(map(self.decode, _list(value)))


# bool is not int here: types are compared, not classes
_JSON_TYPES: Mapping[object, type] = {int: int, float: float, bool: bool, Window: list}
_WINDOW = _Noun(Window)


@lru_cache(maxsize=256, typed=True)  # a policy has few
def _window(*row: JSON) -> Window:
    return _WINDOW.decode([*row])


_LINE = _Noun(BudgetLine)
_STATE = _Noun(LineState)
_USAGE = _Noun(UsageRow)
_ENTRY = _Noun(LedgerEntry)


def _of(kind: type[T], value: JSON) -> T:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}")
    return value


def _list(value: JSON) -> list[JSON]:
    if not isinstance(value, list):
        raise TypeError("expected an array")
    return value


# --- messages -------------------------------------------------------------------------------------


def reserve_text(request: ReserveRequest) -> str:
    lines = list(map(_LINE.row, request.lines))
    message = [request.request_id, request.tenant, request.ttl_s, lines]
    if request.charge_now:  # an older peer reads everything else
        message.append(True)
    return dump(message)


def settle_text(request: SettleRequest) -> str:
    return dump([request.request_id, request.tenant, dict(request.amounts)])


def states_text(states: tuple[LineState, ...]) -> str:
    return dump(list(map(_STATE.row, states)))


def outcome_text(outcome: ReserveOutcome) -> str:
    states = list(map(_STATE.row, outcome.states))
    return dump([outcome.granted, states, outcome.exceeded, outcome.retry_after_s])


def usage_text(rows: tuple[UsageRow, ...]) -> str:
    return dump(list(map(_USAGE.row, rows)))


def entries_text(entries: tuple[LedgerEntry, ...]) -> str:
    return dump(list(map(_ENTRY.row, entries)))


def error_text(reason: str) -> str:
    """A refusal by the ledger itself; decoding it raises PortError with the same reason."""
    return dump({"error": reason})


def _decoded(text: str, build: Callable[[list[JSON]], T]) -> T:
    try:
        parsed = _parse(text)
        if isinstance(parsed, dict):
            raise PortError("ledger", _of(str, parsed["error"]))
        return build(_list(parsed))
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise PortError("ledger", "malformed ledger message") from error


def _amounts(value: JSON) -> Mapping[str, int]:
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    return {budget: _of(int, amount) for budget, amount in value.items()}


def _reserve(parsed: list[JSON]) -> ReserveRequest:
    request_id, tenant, ttl_s, lines, *more = parsed
    (charge_now,) = more or (False,)
    return ReserveRequest(
        _of(str, request_id),
        _of(str, tenant),
        _LINE.decode_all(lines),
        _of(int, ttl_s),
        _of(bool, charge_now),
    )


def _settle(parsed: list[JSON]) -> SettleRequest:
    request_id, tenant, amounts = parsed
    return SettleRequest(_of(str, request_id), _of(str, tenant), _amounts(amounts))


def reserve_request(text: str) -> ReserveRequest:
    return _decoded(text, _reserve)


def settle_request(text: str) -> SettleRequest:
    return _decoded(text, _settle)


def states(text: str) -> tuple[LineState, ...]:
    return _decoded(text, _STATE.decode_all)


def outcome(text: str) -> ReserveOutcome:
    return _decoded(
        text,
        lambda p: ReserveOutcome(
            _of(bool, p[0]),
            _STATE.decode_all(p[1]),
            None if p[2] is None else _of(int, p[2]),
            None if p[3] is None else _of(float, p[3]),
        ),
    )


def usage(text: str) -> tuple[UsageRow, ...]:
    return _decoded(text, _USAGE.decode_all)


def known(text: str) -> bool:
    """Whether an operator's change found its bucket."""
    return _decoded(text, lambda p: _of(bool, p[0]))


def entries(text: str) -> tuple[LedgerEntry, ...]:
    return _decoded(text, _ENTRY.decode_all)
