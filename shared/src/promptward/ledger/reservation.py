"""What a store remembers of a request: its holds on buckets and what became of them.

Invariants: a reservation goes `open → settled`, `open → expired`, `open → expired → settled` or
`charged → settled`, never back; the first outcome is part of it, so that a repeated reserve
answers the same. `charged` (ReserveRequest.charge_now) is the store's own word: to an operator
nothing is left to settle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from promptward.ports import EntryState, LedgerEntry, LineState, ReserveOutcome

State = EntryState | Literal["charged"]
SECOND_US = 1_000_000
# `json.dumps` and `json.loads` take five and two times as long for so short a text
_quoted = json.encoder.encode_basestring_ascii
_decode = json.JSONDecoder().decode


@dataclass(slots=True)
class Hold:
    """One line of a reservation.

    Attributes:
        bucket: key of the bucket it was charged to.
        amount: the estimate; the real use once settled.
        slot_id, era: where in the bucket (see `bucket.Bucket`).
        limit, spent, reserved, reset_us: the bucket as the first outcome reported it.
    """

    bucket: str
    budget: str
    partition: str
    unit: str
    amount: int
    slot_id: int
    era: int
    limit: int
    spent: int
    reserved: int
    reset_us: int


@dataclass(slots=True)
class Reservation:
    """A granted request.

    Attributes:
        due_us: when the store must act: expire it while `open`, forget it afterwards.
    """

    tenant: str
    request_id: str
    state: State
    due_us: int
    holds: list[Hold]

    def outcome(self) -> ReserveOutcome:
        """The first outcome, for a repeated reserve."""
        return ReserveOutcome(
            True,
            tuple(
                [
                    LineState(
                        h.budget,
                        h.partition,
                        h.unit,
                        h.limit,
                        h.spent,
                        h.reserved,
                        h.reset_us / SECOND_US,
                    )
                    for h in self.holds
                ]
            ),
        )

    def entries(self) -> list[LedgerEntry]:
        """What the request was charged, one entry per line."""
        state = "settled" if self.state == "charged" else self.state
        return [
            LedgerEntry(
                self.request_id, self.tenant, h.budget, h.partition, h.unit, h.amount, state
            )
            for h in self.holds
        ]


def encode_holds(holds: list[Hold]) -> str:
    """Holds as compact JSON: one array per hold, in field order."""
    rows = [
        f"[{_quoted(h.bucket)},{_quoted(h.budget)},{_quoted(h.partition)},{_quoted(h.unit)},"
        f"{h.amount},{h.slot_id},{h.era},{h.limit},{h.spent},{h.reserved},{h.reset_us}]"
        for h in holds
    ]
    return f"[{','.join(rows)}]"


def decode_holds(text: str) -> list[Hold]:
    """Inverse of `encode_holds`.

    Raises:
        ValueError, TypeError: the text was not written by it.
    """
    return [Hold(*row) for row in _decode(text)]
