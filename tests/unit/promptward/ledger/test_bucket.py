"""A bucket's text form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptward.ledger import (
    Bucket,
    Slot,
    copy_of,
    decode_state,
    encode_state,
    pack_state,
    unpack_state,
)
from promptward.ports import Window

WINDOW = Window("sliding", 3600)
numbers = st.integers(0, 2**53)


def empty() -> Bucket:
    return Bucket("k", "t", "b", "p", "u", WINDOW)


buckets = st.builds(
    lambda counts, slots: Bucket("k", "t", "b", "p", "u", WINDOW, *counts, slots),
    st.lists(numbers, min_size=7, max_size=7),
    st.lists(st.builds(Slot, numbers, numbers, numbers), max_size=33),
)


@given(buckets)
def test_what_is_written_is_read_again(bucket: Bucket) -> None:
    assert decode_state(empty(), encode_state(bucket)) == bucket


@given(buckets)
def test_what_is_packed_is_unpacked_again(bucket: Bucket) -> None:
    assert unpack_state(empty(), pack_state(bucket)) == bucket


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 24, b"x" * 8 * 9])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        unpack_state(empty(), data)


@given(buckets)
def test_a_copy_is_equal_and_shares_nothing_that_changes(bucket: Bucket) -> None:
    copy = copy_of(bucket)
    assert copy == bucket
    copy.slots.append(Slot(1))
    for slot in copy.slots:
        slot.total += 1
    copy.limit += 1
    assert copy != bucket
    assert len(copy.slots) == len(bucket.slots) + 1


@pytest.mark.parametrize(
    "text", ["", "1 2 3", "a b c d e f g", "1 2 3 4 5 6 7 8", "1 2 3 4 5 6 7 8 9"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode_state(empty(), text)
