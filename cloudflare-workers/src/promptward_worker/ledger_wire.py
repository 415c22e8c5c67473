"""Ledger calls as JSON text: how the Worker and its Durable Object talk.

Both ends run the same deployment, so the format has no versions; text is used because one string
crosses from JavaScript to Python at a hundredth of the cost of a nested object. A noun is an array
of its fields in order, read back by their declared types.

Invariants: decoding raises only PortError; every decoded value has the type its noun declares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TypeVar, get_args, get_type_hints

from promptward.errors import PortError
from promptward.exchange import JSON
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
Decoder = Callable[[JSON], object]


_compact = json.JSONEncoder(separators=(",", ":")).encode


def dump(value: JSON) -> str:
    """Compact JSON."""
    return _compact(value)


# --- one noun -------------------------------------------------------------------------------------


def _integer(value: JSON) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("expected an integer")
    return value


def _text(value: JSON) -> str:
    if not isinstance(value, str):
        raise TypeError("expected a string")
    return value


def _number(value: JSON) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("expected a number")
    return float(value)


def _flag(value: JSON) -> bool:
    if not isinstance(value, bool):
        raise TypeError("expected true or false")
    return value


def _list(value: JSON) -> list[JSON]:
    if not isinstance(value, list):
        raise TypeError("expected an array")
    return value


def _one_of(literal: object) -> Decoder:
    names = frozenset(get_args(literal))

    def decode(value: JSON) -> str:
        if value not in names:
            raise TypeError("unknown name")
        return _text(value)

    return decode


class _Noun:
    """Encodes and decodes one dataclass of ports."""

    def __init__(self, kind: type, known: Mapping[object, Decoder]) -> None:
        hints = get_type_hints(kind)
        self.names = tuple(field.name for field in fields(kind))
        self._decoders = tuple(known[hints[name]] for name in self.names)
        self._kind = kind

    def row(self, value: object) -> list[JSON]:
        return [_encoded(getattr(value, name)) for name in self.names]

    def decode(self, value: JSON) -> object:
        pairs = zip(self._decoders, _list(value), strict=True)
        return self._kind(*(decode(item) for decode, item in pairs))


def _encoded(value: object) -> JSON:
    if isinstance(value, Window):
        return _WINDOW.row(value)
    assert value is None or isinstance(value, str | int | float)
    return value


_SCALARS: dict[object, Decoder] = {
    int: _integer,
    str: _text,
    float: _number,
    bool: _flag,
    WindowType: _one_of(WindowType),
    EntryState: _one_of(EntryState),
}
_WINDOW = _Noun(Window, _SCALARS)
_KNOWN: dict[object, Decoder] = {**_SCALARS, Window: _WINDOW.decode}
_LINE = _Noun(BudgetLine, _KNOWN)
_STATE = _Noun(LineState, _KNOWN)
_USAGE = _Noun(UsageRow, _KNOWN)
_ENTRY = _Noun(LedgerEntry, _KNOWN)


def _all(noun: _Noun, kind: type[T], value: JSON) -> tuple[T, ...]:
    found = tuple(noun.decode(item) for item in _list(value))
    return tuple(item for item in found if isinstance(item, kind))


# --- messages -------------------------------------------------------------------------------------


def reserve_text(request: ReserveRequest) -> str:
    lines: list[JSON] = [_LINE.row(line) for line in request.lines]
    return dump([request.request_id, request.tenant, request.ttl_s, lines])


def settle_text(request: SettleRequest) -> str:
    return dump([request.request_id, request.tenant, dict(request.amounts)])


def states_text(states: tuple[LineState, ...]) -> str:
    return dump([_STATE.row(state) for state in states])


def outcome_text(outcome: ReserveOutcome) -> str:
    states: list[JSON] = [_STATE.row(state) for state in outcome.states]
    return dump([outcome.granted, states, outcome.exceeded, outcome.retry_after_s])


def usage_text(rows: tuple[UsageRow, ...]) -> str:
    return dump([_USAGE.row(row) for row in rows])


def entries_text(entries: tuple[LedgerEntry, ...]) -> str:
    return dump([_ENTRY.row(entry) for entry in entries])


def error_text(reason: str) -> str:
    """A refusal by the ledger itself; decoding it raises PortError with the same reason."""
    return dump({"error": reason})


def _decoded(text: str, build: Callable[[list[JSON]], T]) -> T:
    try:
        parsed = json.loads(text)
        if isinstance(parsed, dict):
            raise PortError("ledger", _text(parsed["error"]))
        return build(_list(parsed))
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise PortError("ledger", "malformed ledger message") from error


def _amounts(value: JSON) -> Mapping[str, int]:
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    return {budget: _integer(amount) for budget, amount in value.items()}


def reserve_request(text: str) -> ReserveRequest:
    return _decoded(
        text,
        lambda p: ReserveRequest(
            _text(p[0]), _text(p[1]), _all(_LINE, BudgetLine, p[3]), _integer(p[2])
        ),
    )


def settle_request(text: str) -> SettleRequest:
    return _decoded(text, lambda p: SettleRequest(_text(p[0]), _text(p[1]), _amounts(p[2])))


def states(text: str) -> tuple[LineState, ...]:
    return _decoded(text, lambda p: _all(_STATE, LineState, p))


def outcome(text: str) -> ReserveOutcome:
    return _decoded(
        text,
        lambda p: ReserveOutcome(
            _flag(p[0]),
            _all(_STATE, LineState, p[1]),
            None if p[2] is None else _integer(p[2]),
            None if p[3] is None else _number(p[3]),
        ),
    )


def usage(text: str) -> tuple[UsageRow, ...]:
    return _decoded(text, lambda p: _all(_USAGE, UsageRow, p))


def known(text: str) -> bool:
    """Whether an operator's change found its bucket."""
    return _decoded(text, lambda p: _flag(p[0]))


def entries(text: str) -> tuple[LedgerEntry, ...]:
    return _decoded(text, lambda p: _all(_ENTRY, LedgerEntry, p))
