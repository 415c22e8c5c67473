"""Window arithmetic by hand: small numbers, one bucket, explicit times in microseconds."""

from __future__ import annotations

import pytest

from promptward.ledger import windows
from promptward.ledger.bucket import Bucket, Slot
from promptward.ports import Window, WindowType

SECOND = 1_000_000


def bucket(kind: WindowType, duration_s: int, limit: int = 100, *slots: Slot) -> Bucket:
    window = Window(kind, duration_s)
    return Bucket("k", "t", "b", "p", "u", window, limit=limit, slots=list(slots))


def charged(state: Bucket, now_us: int, amount: int) -> int:
    return windows.charge(state, windows.roll(state, now_us), amount)


def test_a_slice_of_a_second_is_a_whole_number_of_microseconds() -> None:
    assert windows.slice_us(Window("sliding", 1)) == 31_250


def test_a_raise_counts_until_it_ends_and_never_lowers() -> None:
    state = bucket("fixed", 60, 100)
    state.raised_to, state.raised_until_us = 150, 10
    assert [windows.limit_at(state, now) for now in (9, 10)] == [150, 100]
    state.raised_to = 50
    assert windows.limit_at(state, 9) == 100


def test_charges_of_one_slice_share_a_slot() -> None:
    state = bucket("sliding", 32)
    for now in (0, SECOND - 1, SECOND):
        charged(state, now, 5)
    assert [(slot.id, slot.total) for slot in state.slots] == [(0, 10), (1, 5)]


def test_a_slice_leaves_once_all_of_it_is_older_than_the_window() -> None:
    state = bucket("sliding", 32)
    charged(state, 0, 5)
    windows.roll(state, 33 * SECOND - 1)
    assert state.slots
    windows.roll(state, 33 * SECOND)
    assert not state.slots


def test_a_sliding_window_waits_for_as_many_slices_as_it_needs() -> None:
    state = bucket("sliding", 32)
    charged(state, 0, 30)
    charged(state, 10 * SECOND, 60)
    now = windows.roll(state, 10 * SECOND)
    assert windows.wait_us(state, now, 10) == 0
    assert windows.wait_us(state, now, 20) == 23 * SECOND
    assert windows.wait_us(state, now, 50) == 33 * SECOND
    assert windows.wait_us(state, now, 101) is None


def test_a_token_bucket_keeps_the_fraction_of_a_unit() -> None:
    state = bucket("token_bucket", 3, 10)  # a unit every 0.3 s
    charged(state, 0, 10)
    for step in range(1, 11):
        windows.roll(state, step * SECOND // 10)
    assert state.slots[0].total == 7
    assert state.carry == SECOND  # a third of a unit, in 1/3,000,000 of it


def test_a_token_bucket_without_a_limit_never_refills() -> None:
    state = bucket("token_bucket", 60, 0)
    charged(state, 0, 5)
    assert windows.weigh(state, 0).reset_us == 0
    assert windows.wait_us(state, 0, 0) is None


def test_a_soft_line_may_owe_more_than_it_can_refill() -> None:
    state = bucket("token_bucket", 86_400, 1)
    charged(state, 0, 10**12)
    assert windows.weigh(state, 0).reset_us == windows.MAX_WAIT_US


@pytest.mark.parametrize(("actual", "total"), [(100, 70), (40, 40), (0, 0), (130, 100)])
def test_a_token_bucket_takes_back_an_over_estimate_less_the_refill(
    actual: int, total: int
) -> None:
    state = bucket("token_bucket", 100)
    slot = charged(state, 0, 100)
    now = windows.roll(state, 30 * SECOND)  # 30 refilled: 70 left
    windows.settle(state, now, slot, 100, actual)
    assert state.slots[0].total == total


def test_concurrency_is_given_back_by_settling_and_by_expiry() -> None:
    state = bucket("concurrent", 60, 2)
    slot = charged(state, 0, 1)
    charged(state, 0, 1)
    assert windows.wait_us(state, 0, 1) == windows.CONCURRENT_RETRY_US
    windows.settle(state, 0, slot, 1, 1)
    windows.expire(state, slot, 1)
    level = windows.weigh(state, 0)
    assert (level.spent, level.reserved) == (0, 0)


def test_a_slot_that_left_the_window_is_not_corrected() -> None:
    state = bucket("fixed", 60)
    slot = charged(state, 0, 10)
    now = windows.roll(state, 60 * SECOND)
    windows.settle(state, now, slot, 10, 99)
    assert [(s.total, s.open) for s in state.slots] == [(0, 0)]


def test_a_small_step_back_is_held() -> None:
    state = bucket("fixed", 60)
    charged(state, 65 * SECOND, 10)
    assert windows.roll(state, 55 * SECOND) == 65 * SECOND
    assert state.slots[0].total == 10


@pytest.mark.parametrize("kind", ["fixed", "sliding", "token_bucket"])
def test_a_far_step_back_moves_the_use_to_the_new_present(kind: WindowType) -> None:
    state = bucket(kind, 60)
    charged(state, 10_000 * SECOND, 10)
    now = windows.roll(state, 100 * SECOND)
    level = windows.weigh(state, now)
    assert now == 100 * SECOND
    assert (level.spent, level.reserved) == (10, 0)
    assert state.era == 1


@pytest.mark.parametrize(
    ("kind", "quiet_s"),
    [("fixed", 60), ("sliding", 65.625), ("token_bucket", 5 + 6), ("concurrent", 5)],
)
def test_a_bucket_is_quiet_when_its_use_no_longer_matters(kind: WindowType, quiet_s: float) -> None:
    state = bucket(kind, 60)
    charged(state, 5 * SECOND, 10)
    assert windows.quiet_us(state) == quiet_s * SECOND
    state.raised_until_us = 1000 * SECOND
    assert windows.quiet_us(state) == 1000 * SECOND
