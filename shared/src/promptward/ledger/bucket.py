"""The state of one budget partition, and its text and byte forms.

Invariants: every number is an integer; `slots` is ascending by id and short (at most
`SLIDING_SLOTS + 1`); `0 <= open <= total` in every slot of a window that did not refill meanwhile.
A bucket is mutable because it lives inside one store transaction: loaded, changed by `windows`,
written back or dropped.

What a slot's id means: `fixed` the window's start, `sliding` the index of a slice of time,
`token_bucket` the moment of the last refill, `concurrent` nothing (0).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from promptward.ports import Window


@dataclass(slots=True)
class Slot:
    """Use in one slice of time: all that was charged, and how much of it is still open."""

    id: int
    total: int = 0
    open: int = 0


@dataclass(slots=True)
class Bucket:
    """Use of one partition of one budget.

    Attributes:
        limit: as last asked for, in the unit.
        raised_to: temporary limit, in force before `raised_until_us`.
        seen_us: latest time the bucket was charged at; time never runs backwards below it.
        end_us: end of a `fixed` window.
        carry: `token_bucket`: the fraction of a unit already refilled, in 1/duration_us units.
        era: counts far steps back of the clock; a reservation of another era no longer finds its
            slot.
    """

    key: str
    tenant: str
    budget: str
    partition: str
    unit: str
    window: Window
    limit: int = 0
    raised_to: int = 0
    raised_until_us: int = 0
    seen_us: int = 0
    end_us: int = 0
    carry: int = 0
    era: int = 0
    slots: list[Slot] = field(default_factory=list)


def copy_of(bucket: Bucket) -> Bucket:
    """A bucket with slots of its own; about ten times as fast as `copy.deepcopy`."""
    return Bucket(
        bucket.key,
        bucket.tenant,
        bucket.budget,
        bucket.partition,
        bucket.unit,
        bucket.window,
        bucket.limit,
        bucket.raised_to,
        bucket.raised_until_us,
        bucket.seen_us,
        bucket.end_us,
        bucket.carry,
        bucket.era,
        [Slot(slot.id, slot.total, slot.open) for slot in bucket.slots],
    )


def encode_state(bucket: Bucket) -> str:
    """Everything that changes in a bucket, as integers separated by spaces."""
    return " ".join(map(str, _numbers(bucket)))


def pack_state(bucket: Bucket) -> bytes:
    """The same as 64-bit little-endian integers: a fifth of the time, for stores of bytes."""
    numbers = _numbers(bucket)
    return struct.pack(f"<{len(numbers)}q", *numbers)


def _numbers(bucket: Bucket) -> list[int]:
    numbers = [
        bucket.limit,
        bucket.raised_to,
        bucket.raised_until_us,
        bucket.seen_us,
        bucket.end_us,
        bucket.carry,
        bucket.era,
    ]
    for slot in bucket.slots:
        numbers += (slot.id, slot.total, slot.open)
    return numbers


def decode_state(bucket: Bucket, text: str) -> Bucket:
    """Fill `bucket` from `encode_state`'s text and return it.

    Raises:
        ValueError: the text was not written by `encode_state`.
    """
    return _fill(bucket, [int(number) for number in text.split(" ")])


def unpack_state(bucket: Bucket, data: bytes) -> Bucket:
    """Fill `bucket` from `pack_state`'s bytes and return it.

    Raises:
        ValueError: the bytes were not written by `pack_state`.
    """
    if len(data) % 8:
        raise ValueError("not a bucket's state")
    return _fill(bucket, struct.unpack(f"<{len(data) // 8}q", data))


def _fill(bucket: Bucket, numbers: Sequence[int]) -> Bucket:
    (
        bucket.limit,
        bucket.raised_to,
        bucket.raised_until_us,
        bucket.seen_us,
        bucket.end_us,
        bucket.carry,
        bucket.era,
    ) = numbers[:7]
    triples = iter(numbers[7:])
    bucket.slots = [Slot(*triple) for triple in zip(triples, triples, triples, strict=True)]
    return bucket
