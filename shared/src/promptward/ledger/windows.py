"""Window arithmetic: roll a bucket forward to now, weigh a charge, charge and correct it.

Invariants: integers only; the time is passed in; a hard line is never admitted past its limit, and
every approximation errs towards refusing:

- `sliding` keeps 33 slices of 1/32 of the duration and counts a slice until all of it has left the
  window, so a charge weighs up to 1/32 of the duration (3.1 %) too long, never too short.
- `token_bucket` gives back an over-estimate less what refilled since it was reserved: that refill
  may already have been used by others.
- a clock that steps back is held at the latest time seen; a step of more than one duration is taken
  as the correction of a wrong clock: the use of the newest window moves to the new present.

The Redis ledger's script states the same arithmetic in Lua (promptward_ports/ledgers/redis.lua); a
property test holds the two against each other. Change both or neither.
"""

from __future__ import annotations

from collections.abc import Callable

from promptward.ledger.bucket import Bucket, Slot
from promptward.ledger.calendar_windows import SECOND_US, fixed_bounds
from promptward.ports import Window
from promptward.values import value_object

SLIDING_SLOTS = 32
"""Slices of a sliding window. 32 divides a million, so a slice is a whole number of microseconds
for every duration in whole seconds."""

CONCURRENT_RETRY_US = SECOND_US
"""Nobody knows when a running request ends; one second is the shortest Retry-After (RFC 9110)."""

MAX_WAIT_US = 10**15
"""31 years: a soft line may owe its token bucket more than it can ever refill."""

Bounds = Callable[[Window, int], tuple[int, int]]


@value_object(frozen=True, slots=True)
class Level:
    """How full a bucket is. `reset_us`: microseconds until (some of) it refills, 0 when empty;
    for a `token_bucket` until it is full again."""

    limit: int
    spent: int
    reserved: int
    reset_us: int


def slice_us(window: Window) -> int:
    """Length of one slice of a sliding window."""
    return window.duration_s * SECOND_US // SLIDING_SLOTS


def limit_at(bucket: Bucket, now_us: int) -> int:
    """The limit in force, a temporary raise included."""
    if now_us < bucket.raised_until_us:
        return max(bucket.limit, bucket.raised_to)
    return bucket.limit


def roll(bucket: Bucket, now_us: int, bounds: Bounds | None = fixed_bounds) -> int:
    """Drop what has left the window and return the bucket's own present (see module docstring).

    With `bounds` None a `fixed` window that is over is left without slots: enough to read it.
    """
    now_us = _present(bucket, now_us)
    kind = bucket.window.type
    if kind == "fixed":
        _roll_fixed(bucket, now_us, bounds)
    elif kind == "sliding":
        oldest = now_us // slice_us(bucket.window) - SLIDING_SLOTS
        if bucket.slots and bucket.slots[0].id < oldest:
            bucket.slots = [slot for slot in bucket.slots if slot.id >= oldest]
    elif kind == "token_bucket":
        _refill(bucket, now_us)
    elif not bucket.slots:
        bucket.slots = [Slot(0)]
    return now_us


def weigh(bucket: Bucket, now_us: int) -> Level:
    """How full a rolled bucket is."""
    total = held = 0
    for slot in bucket.slots:  # a loop: two sums of generators take twice as long
        total += slot.total
        held += slot.open
    reserved = min(total, held)
    reset_us = 0
    if total:
        reset_us = _reset_us(bucket, now_us, total)
    return Level(limit_at(bucket, now_us), total - reserved, reserved, reset_us)


def wait_us(bucket: Bucket, now_us: int, amount: int) -> int | None:
    """Microseconds until `amount` fits at the latest; 0 when it fits now, None when it never can.

    Open reservations count as spent: they may be given back earlier.
    """
    limit = limit_at(bucket, now_us)
    if amount > limit:
        return None
    over = amount - limit
    for slot in bucket.slots:  # a loop, as in `weigh`
        over += slot.total
    if over <= 0:
        return 0
    kind = bucket.window.type
    if kind == "fixed":
        return bucket.end_us - now_us
    if kind == "sliding":
        return _sliding_wait_us(bucket, now_us, over)
    if kind == "token_bucket":
        return _refill_time_us(bucket, limit, over)
    return CONCURRENT_RETRY_US


def charge(bucket: Bucket, now_us: int, amount: int, *, is_open: bool = True) -> int:
    """Charge `amount` to a rolled bucket; returns the id of its slot.

    Args:
        is_open: it counts as reserved, until it is settled or expires; else as spent.
    """
    slots = bucket.slots
    if bucket.window.type == "sliding":
        current = now_us // slice_us(bucket.window)
        if not slots or slots[-1].id != current:
            slots.append(Slot(current))
    slot = slots[-1]
    slot.total += amount
    if is_open:
        slot.open += amount
    return slot.id


def settle(bucket: Bucket, now_us: int, slot_id: int, estimate: int, actual: int) -> None:
    """Replace an open estimate by the real use in a rolled bucket."""
    slot = find_slot(bucket, slot_id)
    if slot is not None:
        slot.open = max(0, slot.open - estimate)
        if bucket.window.type == "concurrent":
            slot.total = max(0, slot.total - estimate)
        else:
            _correct(bucket, slot, now_us, slot_id, actual - estimate)


def expire(bucket: Bucket, slot_id: int, estimate: int) -> None:
    """Turn an open estimate into use; a `concurrent` line is given back."""
    slot = find_slot(bucket, slot_id)
    if slot is not None:
        slot.open = max(0, slot.open - estimate)
        if bucket.window.type == "concurrent":
            slot.total = max(0, slot.total - estimate)


def correct(bucket: Bucket, now_us: int, slot_id: int, estimate: int, actual: int) -> None:
    """Replace an estimate that is no longer open by the real use in a rolled bucket."""
    slot = find_slot(bucket, slot_id)
    if slot is not None and bucket.window.type != "concurrent":
        _correct(bucket, slot, now_us, slot_id, actual - estimate)


def find_slot(bucket: Bucket, slot_id: int) -> Slot | None:
    """The slot a reservation was charged to, or None when it has left the window."""
    if bucket.window.type in ("token_bucket", "concurrent"):
        return bucket.slots[0] if bucket.slots else None
    for slot in reversed(bucket.slots):
        if slot.id == slot_id:
            return slot
    return None


def quiet_us(bucket: Bucket) -> int:
    """When the bucket's use no longer matters to any decision, if it is not charged again.

    A `concurrent` bucket with running requests is kept by its reservations instead.
    """
    window = bucket.window
    if window.type == "fixed":
        quiet = bucket.end_us
    elif window.type == "sliding":
        last = bucket.slots[-1].id if bucket.slots else 0
        quiet = (last + SLIDING_SLOTS + 1) * slice_us(window)
    elif window.type == "token_bucket" and bucket.slots:
        slot = bucket.slots[0]
        quiet = slot.id + (_refill_time_us(bucket, bucket.limit, slot.total) or 0)
    else:
        quiet = bucket.seen_us
    return max(quiet, bucket.raised_until_us)


def _present(bucket: Bucket, now_us: int) -> int:
    behind_us = bucket.seen_us - now_us
    if behind_us <= 0 or bucket.window.type == "concurrent":
        bucket.seen_us = now_us
        return now_us
    if behind_us <= bucket.window.duration_s * SECOND_US:
        return bucket.seen_us
    bucket.seen_us = now_us
    bucket.era += 1
    for slot in bucket.slots:
        slot.open = 0
    if bucket.window.type == "sliding" and bucket.slots:
        shift = bucket.slots[-1].id - now_us // slice_us(bucket.window)
        for slot in bucket.slots:
            slot.id -= shift
    elif bucket.window.type == "token_bucket" and bucket.slots:
        bucket.slots[0].id = now_us
    elif bucket.window.type == "fixed":
        bucket.end_us = 0
    return now_us


def _roll_fixed(bucket: Bucket, now_us: int, bounds: Bounds | None) -> None:
    slots = bucket.slots
    if slots and slots[0].id <= now_us < bucket.end_us:
        return
    rebased = bool(slots) and bucket.end_us == 0  # the mark `_present` left
    if bounds is None:
        if not rebased:
            bucket.slots = []
        return
    start_us, bucket.end_us = bounds(bucket.window, now_us)
    bucket.slots = [Slot(start_us, slots[0].total if rebased else 0)]


def _refill(bucket: Bucket, now_us: int) -> None:
    if not bucket.slots:
        bucket.slots = [Slot(now_us)]
        return
    slot = bucket.slots[0]
    duration_us = bucket.window.duration_s * SECOND_US
    elapsed_us = max(0, now_us - slot.id)
    units, bucket.carry = divmod(elapsed_us * limit_at(bucket, now_us) + bucket.carry, duration_us)
    slot.id = max(slot.id, now_us)
    slot.total = max(0, slot.total - units)
    if slot.total == 0:
        bucket.carry = 0


def _correct(bucket: Bucket, slot: Slot, now_us: int, charged_us: int, change: int) -> None:
    if change < 0 and bucket.window.type == "token_bucket":
        duration_us = bucket.window.duration_s * SECOND_US
        elapsed_us = max(0, now_us - charged_us)
        refilled = -(-elapsed_us * limit_at(bucket, now_us) // duration_us)
        change = min(0, change + refilled)
    slot.total = max(0, slot.total + change)


def _reset_us(bucket: Bucket, now_us: int, total: int) -> int:
    kind = bucket.window.type
    if kind == "fixed":
        return max(0, bucket.end_us - now_us)
    if kind == "sliding":
        return _sliding_wait_us(bucket, now_us, 1)
    if kind == "token_bucket":
        return _refill_time_us(bucket, limit_at(bucket, now_us), total) or 0
    return 0


def _sliding_wait_us(bucket: Bucket, now_us: int, over: int) -> int:
    freed = 0
    leaves_us = now_us
    for slot in bucket.slots:
        freed += slot.total
        leaves_us = (slot.id + SLIDING_SLOTS + 1) * slice_us(bucket.window)
        if freed >= over:
            break
    return max(0, leaves_us - now_us)


def _refill_time_us(bucket: Bucket, limit: int, units: int) -> int | None:
    """Microseconds until `units` have refilled; None at limit 0, which never refills."""
    if limit <= 0:
        return None
    missing = units * bucket.window.duration_s * SECOND_US - bucket.carry
    return min(MAX_WAIT_US, max(0, -(-missing // limit)))
