"""Ledger calls as JSON text: how the Worker and its Durable Object talk.

Both ends run the same deployment, so the format has no versions; text is used because one string
crosses from JavaScript to Python at a hundredth of the cost of a nested object.

Invariants: decoding raises only PortError; every decoded value has the type its noun declares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TypeVar

from promptward.errors import PortError
from promptward.exchange import JSON
from promptward.ports import (
    BudgetLine,
    LedgerEntry,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
    UsageRow,
    Window,
)

T = TypeVar("T")


def dump(value: JSON) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"))


def _row(value: object, names: tuple[str, ...]) -> list[JSON]:
    return [getattr(value, name) for name in names]


_WINDOW = tuple(f.name for f in fields(Window))
_LINE = tuple(f.name for f in fields(BudgetLine) if f.name != "window")
_STATE = tuple(f.name for f in fields(LineState))
_USAGE = tuple(f.name for f in fields(UsageRow) if f.name != "window")
_ENTRY = tuple(f.name for f in fields(LedgerEntry))


def reserve_text(request: ReserveRequest) -> str:
    lines: list[JSON] = [[*_row(line, _LINE), _row(line.window, _WINDOW)] for line in request.lines]
    return dump([request.request_id, request.tenant, request.ttl_s, lines])


def settle_text(request: SettleRequest) -> str:
    return dump([request.request_id, request.tenant, dict(request.amounts)])


def states_text(states: tuple[LineState, ...]) -> str:
    return dump([_row(state, _STATE) for state in states])


def outcome_text(outcome: ReserveOutcome) -> str:
    states: list[JSON] = [_row(state, _STATE) for state in outcome.states]
    return dump([outcome.granted, states, outcome.exceeded, outcome.retry_after_s])


def usage_text(rows: tuple[UsageRow, ...]) -> str:
    return dump([[*_row(row, _USAGE), _row(row.window, _WINDOW)] for row in rows])


def entries_text(entries: tuple[LedgerEntry, ...]) -> str:
    return dump([_row(entry, _ENTRY) for entry in entries])


def error_text(reason: str) -> str:
    """A refusal by the ledger itself; decoding it raises PortError with the same reason."""
    return dump({"error": reason})


def _decoded(text: str, build: Callable[[list[JSON]], T]) -> T:
    try:
        parsed = json.loads(text)
        if isinstance(parsed, dict):
            raise PortError("ledger", _text(parsed["error"]))
        if not isinstance(parsed, list):
            raise TypeError("expected an array")
        return build(parsed)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise PortError("ledger", "malformed ledger message") from error


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


def _list(value: JSON) -> list[JSON]:
    if not isinstance(value, list):
        raise TypeError("expected an array")
    return value


def _window(value: JSON) -> Window:
    kind, duration_s, timezone, months = _list(value)
    if kind not in {"fixed", "sliding", "token_bucket", "concurrent"}:
        raise TypeError("unknown window type")
    return Window(kind, _integer(duration_s), _text(timezone), _integer(months))  # type: ignore[arg-type]


def _line(value: JSON) -> BudgetLine:
    budget, partition, unit, limit, amount, soft, window = _list(value)
    return BudgetLine(
        _text(budget),
        _text(partition),
        _text(unit),
        _integer(limit),
        _integer(amount),
        _window(window),
        soft is True,
    )


def _state(value: JSON) -> LineState:
    budget, partition, unit, limit, spent, reserved, reset_s = _list(value)
    return LineState(
        _text(budget),
        _text(partition),
        _text(unit),
        _integer(limit),
        _integer(spent),
        _integer(reserved),
        _number(reset_s),
    )


def _usage(value: JSON) -> UsageRow:
    row = _list(value)
    bucket, tenant, budget, partition, unit = (_text(v) for v in row[:5])
    limit, spent, reserved = (_integer(v) for v in row[5:8])
    return UsageRow(
        bucket,
        tenant,
        budget,
        partition,
        unit,
        _window(row[9]),
        limit,
        spent,
        reserved,
        _number(row[8]),
    )


def _entry(value: JSON) -> LedgerEntry:
    request_id, tenant, budget, partition, unit, amount, state = _list(value)
    if state not in {"open", "expired", "settled"}:
        raise TypeError("unknown state")
    return LedgerEntry(
        _text(request_id),
        _text(tenant),
        _text(budget),
        _text(partition),
        _text(unit),
        _integer(amount),
        state,  # type: ignore[arg-type]
    )


def _amounts(value: JSON) -> Mapping[str, int]:
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    return {budget: _integer(amount) for budget, amount in value.items()}


def reserve_request(text: str) -> ReserveRequest:
    return _decoded(
        text,
        lambda p: ReserveRequest(
            _text(p[0]), _text(p[1]), tuple(_line(x) for x in _list(p[3])), _integer(p[2])
        ),
    )


def settle_request(text: str) -> SettleRequest:
    return _decoded(text, lambda p: SettleRequest(_text(p[0]), _text(p[1]), _amounts(p[2])))


def states(text: str) -> tuple[LineState, ...]:
    return _decoded(text, lambda p: tuple(_state(x) for x in p))


def outcome(text: str) -> ReserveOutcome:
    return _decoded(
        text,
        lambda p: ReserveOutcome(
            p[0] is True,
            tuple(_state(x) for x in _list(p[1])),
            None if p[2] is None else _integer(p[2]),
            None if p[3] is None else _number(p[3]),
        ),
    )


def usage(text: str) -> tuple[UsageRow, ...]:
    return _decoded(text, lambda p: tuple(_usage(x) for x in p))


def entries(text: str) -> tuple[LedgerEntry, ...]:
    return _decoded(text, lambda p: tuple(_entry(x) for x in p))
