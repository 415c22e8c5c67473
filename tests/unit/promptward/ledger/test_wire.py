"""Ledger calls as text."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptward.errors import PortError
from promptward.ledger import wire
from promptward.ports import (
    BudgetLine,
    LedgerEntry,
    LineState,
    ReserveOutcome,
    ReserveRequest,
    SettleRequest,
    UsageRow,
    Window,
    WindowType,
)

WINDOWS = st.builds(
    Window,
    st.sampled_from(get_args(WindowType)),
    st.integers(1, 10**6),
    st.sampled_from(["UTC", "Europe/Berlin"]),
    st.integers(0, 12),
)
AMOUNTS = st.integers(0, 4 * 10**15)
SECONDS = st.floats(0, 1e9)
LINES = st.builds(
    BudgetLine, st.text(), st.text(), st.text(), AMOUNTS, AMOUNTS, WINDOWS, st.booleans()
)
STATES = st.builds(LineState, st.text(), st.text(), st.text(), AMOUNTS, AMOUNTS, AMOUNTS, SECONDS)


@given(
    st.builds(ReserveRequest, st.text(), st.text(), st.tuples(LINES, LINES), AMOUNTS, st.booleans())
)
def test_a_reservation_survives_the_trip(request: ReserveRequest) -> None:
    assert wire.reserve_request(wire.reserve_text(request)) == request


def test_a_peer_that_cannot_charge_at_once_is_understood_and_understands_the_rest() -> None:
    text = '["r","t",60,[]]'
    assert wire.reserve_request(text) == ReserveRequest("r", "t", (), 60, charge_now=False)
    assert wire.reserve_text(ReserveRequest("r", "t", (), 60)) == text


@given(
    st.builds(
        ReserveOutcome,
        st.booleans(),
        st.tuples(STATES),
        st.none() | st.integers(0, 31),
        st.none() | SECONDS,
    )
)
def test_an_outcome_survives_the_trip(outcome: ReserveOutcome) -> None:
    assert wire.outcome(wire.outcome_text(outcome)) == outcome


@given(st.builds(SettleRequest, st.text(), st.text(), st.dictionaries(st.text(), AMOUNTS)))
def test_a_settlement_survives_the_trip(request: SettleRequest) -> None:
    assert wire.settle_request(wire.settle_text(request)) == request


def test_the_operators_view_survives_the_trip() -> None:
    row = UsageRow("k", "t", "b", "p", "u", Window("fixed", 60), 1, 2, 3, 4.5)
    assert wire.usage(wire.usage_text((row, row))) == (row, row)
    entry = LedgerEntry("r", "t", "b", "p", "u", 7, "expired")
    assert wire.entries(wire.entries_text((entry,))) == (entry,)
    state = LineState("b", "p", "u", 1, 2, 3, 4.0)
    assert wire.states(wire.states_text((state,))) == (state,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        '["r"]',
        '["r","t",60,[["b"]]]',
        "[" * 100_000,
        '["r","t","x",[]]',
        '["r","t",60,[],1]',
        '["r","t",60,[],true,true]',
    ],
)
def test_a_malformed_message_is_a_port_error(text: str) -> None:
    with pytest.raises(PortError):
        wire.reserve_request(text)


@pytest.mark.parametrize(
    "text",
    [
        '[["b","p","u",1,2,true,4.0]]',
        '[["b","p","u",1,2,3,4]]',
        '[["b","p","u",1,2,3]]',
        "[[]]",
        '[{"budget":"b"}]',
    ],
)
def test_a_state_has_the_types_that_it_declares(text: str) -> None:
    with pytest.raises(PortError):
        wire.states(text)


def test_a_state_of_a_reservation_is_one_of_three() -> None:
    with pytest.raises(PortError):
        wire.entries('[["r","t","b","p","u",1,"lost"]]')


@pytest.mark.parametrize("wrong", [True, "1", 1.5, None])
def test_an_amount_is_an_integer(wrong: object) -> None:
    with pytest.raises(PortError):
        wire.settle_request(json.dumps(["r", "t", {"b": wrong}]))


def test_a_refusal_by_the_ledger_keeps_its_reason() -> None:
    with pytest.raises(PortError) as caught:
        wire.outcome(wire.error_text("an amount must be 0..10"))
    assert caught.value.reason == "an amount must be 0..10"
