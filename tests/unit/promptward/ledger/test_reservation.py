"""What a store remembers of a request."""

from __future__ import annotations

import json
from dataclasses import astuple

from hypothesis import given
from hypothesis import strategies as st

from promptward.ledger import Hold, Reservation, decode_holds, encode_holds
from promptward.ports import LedgerEntry, LineState

texts = st.text(max_size=10)
numbers = st.integers(0, 2**53)
holds = st.builds(Hold, *[texts] * 4, *[numbers] * 7)


@given(st.lists(holds, max_size=4))
def test_what_is_written_is_read_again(given_holds: list[Hold]) -> None:
    written = encode_holds(given_holds)
    assert decode_holds(written) == given_holds
    assert written == json.dumps([astuple(h) for h in given_holds], separators=(",", ":"))


def test_outcome_and_entries_name_the_line() -> None:
    hold = Hold("key", "tokens", "claim.sub=ann", "total_tokens", 40, 0, 0, 100, 10, 50, 2_500_000)
    reservation = Reservation("acme", "r1", "open", 0, [hold])
    outcome = reservation.outcome()
    assert outcome.granted
    assert outcome.states == (
        LineState("tokens", "claim.sub=ann", "total_tokens", 100, 10, 50, 2.5),
    )
    assert reservation.entries() == [
        LedgerEntry("r1", "acme", "tokens", "claim.sub=ann", "total_tokens", 40, "open")
    ]
    reservation.state = "charged"  # nothing is left to settle
    assert [entry.state for entry in reservation.entries()] == ["settled"]
