"""What every budget ledger must do, whatever it keeps its rows in."""

from __future__ import annotations

import pytest

from promptward.errors import PortError
from promptward.ports import LineState, ReserveOutcome, Window
from promptward.testing.ledgers import RETENTION_S, LedgerDriver, budget_line

SLIDING = Window("sliding", 3200)  # slices of 100 s
BUCKET = Window("token_bucket", 100)
CONCURRENT = Window("concurrent", 60)


def seen(state: LineState) -> tuple[int, int]:
    return state.spent, state.reserved


def totals(store: LedgerDriver) -> dict[str, tuple[int, int]]:
    return {row.budget: (row.spent, row.reserved) for row in store.usage()}


# --- reserve -------------------------------------------------------------------------------------


def test_reserving_counts_against_the_limit_until_it_is_full(store: LedgerDriver) -> None:
    assert [store.reserve(f"r{i}", budget_line(amount=40)).granted for i in range(3)] == [
        True,
        True,
        False,
    ]
    assert totals(store) == {"tokens": (0, 80)}


def test_the_limit_itself_may_be_used_up(store: LedgerDriver) -> None:
    outcome = store.reserve("r", budget_line(limit=100, amount=100))
    assert outcome.granted
    assert seen(outcome.states[0]) == (0, 100)
    assert outcome.states[0].remaining == 0


def test_all_lines_are_reserved_or_none(store: LedgerDriver) -> None:
    lines = (budget_line("user", amount=10), budget_line("team", limit=5, amount=10))
    outcome = store.reserve("r", *lines)
    assert not outcome.granted
    assert [seen(state) for state in outcome.states] == [(0, 0), (0, 0)]
    assert sum(sum(pair) for pair in totals(store).values()) == 0
    assert store.entries() == ()


def test_a_refused_id_may_try_again(store: LedgerDriver) -> None:
    assert not store.reserve("r", budget_line(limit=5)).granted
    assert store.reserve("r", budget_line(limit=50)).granted


def test_soft_lines_are_counted_and_never_refuse(store: LedgerDriver) -> None:
    outcome = store.reserve("r", budget_line(limit=5, amount=10, soft=True))
    assert outcome.granted
    assert outcome.exceeded is None
    assert seen(outcome.states[0]) == (0, 10)
    assert outcome.states[0].remaining == 0


def test_a_refusal_names_the_line_that_waits_longest(store: LedgerDriver) -> None:
    minute, hour, day = (Window("fixed", seconds) for seconds in (60, 3600, 86_400))
    lines = [budget_line(b, limit=10, window=w) for b, w in (("m", minute), ("h", hour))]
    lines.append(budget_line("d", limit=1000, window=day))
    assert store.reserve("r1", *lines).granted
    refused = store.reserve("r2", *lines)
    assert refused.exceeded == 1
    assert refused.retry_after_s == refused.states[1].reset_s
    assert refused.retry_after_s is not None
    assert 0 < refused.retry_after_s <= 3600


def test_never_is_stricter_than_any_wait(store: LedgerDriver) -> None:
    assert store.reserve("r1", budget_line("used", limit=10)).granted
    refused = store.reserve("r2", budget_line("used", limit=10), budget_line("small", limit=9))
    assert refused.exceeded == 1
    assert refused.retry_after_s is None


def test_equals_are_named_in_order(store: LedgerDriver) -> None:
    refused = store.reserve("r", budget_line("a", limit=0), budget_line("b", limit=0))
    assert refused.exceeded == 0


def test_the_same_id_is_charged_once_and_answered_alike(store: LedgerDriver) -> None:
    first = store.reserve("r", budget_line(amount=40))
    store.reserve("other", budget_line(amount=20))
    assert store.reserve("r", budget_line(amount=40)) == first
    assert totals(store) == {"tokens": (0, 60)}
    store.settle("r", tokens=10)
    assert store.reserve("r", budget_line(amount=40)) == first
    assert totals(store) == {"tokens": (10, 20)}


def test_partitions_tenants_units_and_budgets_do_not_share(store: LedgerDriver) -> None:
    assert store.reserve("r1", budget_line(amount=100)).granted
    assert store.reserve("r2", budget_line(amount=100, partition="claim.sub=bob")).granted
    assert store.reserve("r3", budget_line(amount=100), tenant="other").granted
    assert store.reserve("r4", budget_line("second", amount=100)).granted
    assert not store.reserve("r5", budget_line(amount=1)).granted


def test_ids_of_different_tenants_are_different_requests(store: LedgerDriver) -> None:
    store.reserve("r", budget_line(amount=10))
    store.reserve("r", budget_line(amount=10), tenant="other")
    store.settle("r", "other", tokens=3)
    assert sorted(map(seen_row, store.usage())) == [("acme", 0, 10), ("other", 3, 0)]


def seen_row(row: object) -> tuple[str, int, int]:
    return row.tenant, row.spent, row.reserved  # type: ignore[attr-defined]


# --- settle --------------------------------------------------------------------------------------


def test_settling_replaces_the_estimate_by_the_use(store: LedgerDriver) -> None:
    store.reserve("r", budget_line(amount=40))
    (state,) = store.settle("r", tokens=25)
    assert seen(state) == (25, 0)
    assert [(e.amount, e.state) for e in store.entries()] == [(25, "settled")]


def test_an_over_run_is_charged_in_full(store: LedgerDriver) -> None:
    store.reserve("r", budget_line(limit=100, amount=40))
    (state,) = store.settle("r", tokens=250)
    assert seen(state) == (250, 0)
    assert state.remaining == 0
    assert not store.reserve("next", budget_line(limit=100, amount=1)).granted


def test_a_budget_left_out_is_released(store: LedgerDriver) -> None:
    store.reserve("r", budget_line("a"), budget_line("b"))
    states = store.settle("r", a=4)
    assert [(s.budget, *seen(s)) for s in states] == [("a", 4, 0), ("b", 0, 0)]


def test_a_second_settlement_is_ignored(store: LedgerDriver) -> None:
    store.reserve("r", budget_line(amount=40))
    store.settle("r", tokens=25)
    assert store.settle("r", tokens=99) == ()
    assert totals(store) == {"tokens": (25, 0)}


def test_settling_what_was_never_reserved_does_nothing(store: LedgerDriver) -> None:
    assert store.settle("ghost", tokens=5) == ()
    assert store.entries() == ()


def test_settling_before_the_reservation_leaves_the_reservation_open(store: LedgerDriver) -> None:
    assert store.settle("r", tokens=5) == ()
    assert store.reserve("r", budget_line(amount=40)).granted
    assert totals(store) == {"tokens": (0, 40)}


def test_amounts_of_unknown_budgets_are_ignored(store: LedgerDriver) -> None:
    store.reserve("r", budget_line(amount=40))
    (state,) = store.settle("r", tokens=1, nonsense=7)
    assert seen(state) == (1, 0)


# --- expiry --------------------------------------------------------------------------------------


def test_an_unsettled_reservation_is_charged_as_estimated(store: LedgerDriver) -> None:
    store.reserve("r", budget_line(amount=40), ttl_s=10)
    store.clock.step(9.999999)
    assert totals(store) == {"tokens": (0, 40)}
    store.clock.step(0.000001)
    assert totals(store) == {"tokens": (40, 0)}
    assert [(e.amount, e.state) for e in store.entries()] == [(40, "expired")]


def test_a_late_settlement_corrects_an_expired_estimate_once(store: LedgerDriver) -> None:
    store.reserve("r", budget_line(amount=40), ttl_s=10)
    store.clock.step(11)
    (state,) = store.settle("r", tokens=15)
    assert seen(state) == (15, 0)
    assert store.settle("r", tokens=99) == ()
    assert totals(store) == {"tokens": (15, 0)}
    assert [(e.amount, e.state) for e in store.entries()] == [(15, "settled")]


def test_a_late_over_run_is_charged_too(store: LedgerDriver) -> None:
    store.reserve("r", budget_line(amount=40), ttl_s=10)
    store.clock.step(11)
    (state,) = store.settle("r", tokens=70)
    assert seen(state) == (70, 0)


def test_closed_reservations_are_forgotten_after_their_retention(store: LedgerDriver) -> None:
    store.reserve("settled", budget_line())
    store.settle("settled", tokens=1)
    store.reserve("expired", budget_line(), ttl_s=10)
    store.clock.step(10)
    assert len(store.entries()) == 2
    store.clock.step(RETENTION_S)
    assert store.entries() == ()
    assert store.settle("expired", tokens=1) == ()


def test_a_sweep_keeps_up_with_many_expiries(store: LedgerDriver) -> None:
    for number in range(200):
        store.reserve(f"r{number}", budget_line(limit=10_000, amount=1), ttl_s=10)
    store.clock.step(11)
    for number in range(4):
        store.reserve(f"late{number}", budget_line(limit=10_000, amount=1), ttl_s=10)
    assert totals(store) == {"tokens": (200, 4)}


# --- charged at once -----------------------------------------------------------------------------

WINDOWS = pytest.mark.parametrize("window", [Window("fixed", 3600), SLIDING, BUCKET])


@WINDOWS
def test_what_is_charged_at_once_is_spent_and_settled(store: LedgerDriver, window: Window) -> None:
    store.reserve("open", budget_line(amount=20, window=window))
    for request_id, spent in (("r1", 30), ("r2", 60)):  # the first charge, and the usual one
        outcome = store.reserve(request_id, budget_line(amount=30, window=window), charge_now=True)
        assert outcome.granted
        assert seen(outcome.states[0]) == (spent, 20)
    assert totals(store) == {"tokens": (60, 20)}
    states = [(e.request_id, e.amount, e.state) for e in store.entries()]
    assert states == [("open", 20, "open"), ("r1", 30, "settled"), ("r2", 30, "settled")]
    assert not store.reserve("r3", budget_line(amount=30, window=window), charge_now=True).granted


def test_the_end_of_its_ttl_changes_nothing(store: LedgerDriver) -> None:
    store.reserve("r", budget_line(amount=40), ttl_s=10, charge_now=True)
    store.clock.step(11)
    store.reserve("next", budget_line(amount=1))
    assert totals(store) == {"tokens": (40, 1)}
    assert [(e.request_id, e.state) for e in store.entries()] == [
        ("next", "open"),
        ("r", "settled"),
    ]


def test_charging_at_once_again_is_charged_once_and_answered_alike(store: LedgerDriver) -> None:
    first = store.reserve("r", budget_line(amount=40), charge_now=True)
    store.reserve("other", budget_line(amount=5))
    assert store.reserve("r", budget_line(amount=40), charge_now=True) == first
    assert totals(store) == {"tokens": (40, 5)}


@WINDOWS
@pytest.mark.parametrize("actual", [0, 15, 70])
def test_a_settlement_corrects_what_was_charged_at_once_once(
    store: LedgerDriver, window: Window, actual: int
) -> None:
    store.reserve("open", budget_line(amount=20, window=window), ttl_s=3600)
    store.reserve("r", budget_line(amount=40, window=window), charge_now=True)
    (state,) = store.settle("r", tokens=actual)
    assert seen(state) == (actual, 20)
    assert store.settle("r", tokens=99) == ()
    assert totals(store) == {"tokens": (actual, 20)}
    assert [(e.amount, e.state) for e in store.entries()] == [(20, "open"), (actual, "settled")]


def test_what_was_charged_at_once_is_corrected_within_its_retention(store: LedgerDriver) -> None:
    window = Window("fixed", 86_400)
    for request_id in ("r1", "r2"):
        store.reserve(request_id, budget_line(amount=40, window=window), ttl_s=1, charge_now=True)
    store.clock.step(RETENTION_S - 0.000001)
    (state,) = store.settle("r1", tokens=1)
    assert seen(state) == (41, 0)
    store.clock.step(0.000001)
    assert store.settle("r2", tokens=1) == ()
    assert totals(store) == {"tokens": (41, 0)}


def test_a_concurrent_line_is_never_charged_at_once(store: LedgerDriver) -> None:
    lines = (budget_line("a"), budget_line("b", window=CONCURRENT))
    with pytest.raises(PortError):
        store.reserve("r", *lines, charge_now=True)
    assert store.entries() == ()


# --- windows -------------------------------------------------------------------------------------


def to_next_hour(store: LedgerDriver) -> None:
    store.clock.step(3600 - store.clock.now_s() % 3600)


def test_a_fixed_window_starts_empty_at_its_boundary(store: LedgerDriver) -> None:
    to_next_hour(store)
    outcome = store.reserve("r1", budget_line(amount=100))
    assert outcome.states[0].reset_s == 3600
    store.clock.step(3599.5)
    refused = store.reserve("r2", budget_line(amount=100))
    assert refused.retry_after_s == 0.5
    store.clock.step(0.5)
    assert store.reserve("r2", budget_line(amount=100)).granted


def test_a_request_belongs_to_the_window_it_was_reserved_in(store: LedgerDriver) -> None:
    to_next_hour(store)
    store.clock.step(3590)
    store.reserve("late", budget_line(amount=40))
    store.clock.step(20)
    (state,) = store.settle("late", tokens=90)
    assert (*seen(state), state.reset_s) == (0, 0, 0)
    assert store.reserve("next", budget_line(amount=100)).granted
    assert [e.amount for e in store.entries() if e.request_id == "late"] == [90]


def test_a_fixed_window_follows_the_clocks_of_its_time_zone(store: LedgerDriver) -> None:
    day = Window("fixed", 86_400, "Europe/Berlin")
    # 2025-10-26, a day of 25 hours: 00:00 CEST is 22:00Z the day before.
    store.clock.step(1_761_429_600 - store.clock.now_s())
    outcome = store.reserve("r", budget_line(window=day))
    assert outcome.states[0].reset_s == 25 * 3600


def test_an_unknown_time_zone_is_a_port_error(store: LedgerDriver) -> None:
    with pytest.raises(PortError):
        store.reserve("r", budget_line(window=Window("fixed", 86_400, "Mars/Olympus")))
    assert store.entries() == ()


def test_a_sliding_window_frees_what_has_left_it(store: LedgerDriver) -> None:
    store.clock.step(-(store.clock.now_s() % 100))
    store.reserve("r1", budget_line(amount=60, window=SLIDING))
    store.settle("r1", tokens=60)
    store.clock.step(1000)
    store.reserve("r2", budget_line(amount=40, window=SLIDING))
    refused = store.reserve("r3", budget_line(amount=60, window=SLIDING))
    assert refused.retry_after_s == 2300  # 3300 s after its slice began, 1000 are over
    store.clock.step(2299)
    assert not store.reserve("r3", budget_line(amount=60, window=SLIDING)).granted
    store.clock.step(1)
    assert store.reserve("r3", budget_line(amount=60, window=SLIDING)).granted


def test_a_sliding_window_never_admits_more_than_its_limit(store: LedgerDriver) -> None:
    granted: list[float] = []
    for number in range(400):
        store.clock.step(37)
        if store.reserve(f"r{number}", budget_line(limit=50, amount=10, window=SLIDING)).granted:
            granted.append(store.clock.now_s())
    assert len(granted) > 5
    for start in granted:
        assert sum(1 for t in granted if start <= t < start + 3200) <= 5


def test_a_sliding_window_settles_into_the_slice_of_its_reservation(store: LedgerDriver) -> None:
    store.reserve("r1", budget_line(amount=60, window=SLIDING), ttl_s=7200)
    store.clock.step(500)
    (state,) = store.settle("r1", tokens=20)
    assert seen(state) == (20, 0)
    store.reserve("r2", budget_line(amount=30, window=SLIDING), ttl_s=7200)
    store.clock.step(3400)
    (state,) = store.settle("r2", tokens=5)
    assert seen(state) == (0, 0)


def test_a_token_bucket_refills_evenly(store: LedgerDriver) -> None:
    assert store.reserve("r1", budget_line(amount=100, window=BUCKET)).granted
    refused = store.reserve("r2", budget_line(amount=7, window=BUCKET))
    assert refused.retry_after_s == 7
    store.clock.step(6.999999)
    assert not store.reserve("r2", budget_line(amount=7, window=BUCKET)).granted
    store.clock.step(0.000001)
    assert store.reserve("r2", budget_line(amount=7, window=BUCKET)).granted


def test_a_token_bucket_loses_no_fraction_to_frequent_calls(store: LedgerDriver) -> None:
    third = Window("token_bucket", 300)  # 100 units in 300 s: a third of a unit per second
    store.reserve("r0", budget_line(amount=100, window=third))
    for number in range(29):
        store.clock.step(1)
        store.reserve(f"poll{number}", budget_line(amount=100, window=third))
    assert not store.reserve("r1", budget_line(amount=10, window=third)).granted
    store.clock.step(1)
    assert store.reserve("r1", budget_line(amount=10, window=third)).granted


def test_a_token_bucket_gives_back_less_what_refilled(store: LedgerDriver) -> None:
    store.reserve("r1", budget_line(amount=100, window=BUCKET))
    store.clock.step(30)
    (state,) = store.settle("r1", tokens=10)  # 90 too much, 30 of them refilled already
    assert state.spent == 10


def test_concurrent_requests_give_back_when_settled(store: LedgerDriver) -> None:
    slot = budget_line(limit=2, amount=1, window=CONCURRENT)
    assert store.reserve("r1", slot).granted
    assert store.reserve("r2", slot).granted
    refused = store.reserve("r3", slot)
    assert not refused.granted
    assert refused.retry_after_s == 1
    (state,) = store.settle("r1", tokens=1)
    assert seen(state) == (0, 1)
    assert store.reserve("r3", slot).granted


def test_a_lost_concurrent_request_gives_back_when_it_expires(store: LedgerDriver) -> None:
    slot = budget_line(limit=1, amount=1, window=CONCURRENT)
    assert store.reserve("r1", slot, ttl_s=30).granted
    store.clock.step(30)
    assert store.reserve("r2", slot, ttl_s=30).granted
    store.settle("r1", tokens=1)  # late: nothing left to give back
    assert totals(store) == {"tokens": (0, 1)}


@pytest.mark.parametrize("window", [Window("fixed", 3600), SLIDING, BUCKET])
def test_a_clock_that_steps_back_frees_nothing(store: LedgerDriver, window: Window) -> None:
    to_next_hour(store)
    store.clock.step(1)
    line = budget_line(amount=100, window=window)
    assert store.reserve("r1", line, ttl_s=7200).granted
    for step in (-5, -3, -10 * 86_400):
        store.clock.step(step)
        assert not store.reserve("r2", line, ttl_s=7200).granted
    store.clock.step(window.duration_s * 33 / 32 + 3600)
    assert store.reserve("r2", line, ttl_s=7200).granted


# --- precision -----------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [Window("fixed", 86_400), SLIDING, BUCKET])
def test_large_amounts_stay_exact(store: LedgerDriver, window: Window) -> None:
    limit, amount = 4 * 10**15, 10**12 - 1
    line = budget_line(limit=limit, amount=amount, window=window)
    for number in range(5):
        store.reserve(f"r{number}", line)
    states = store.settle("r0", tokens=1)
    assert states[0].spent + states[0].reserved == 4 * amount + 1
    assert states[0].limit == limit


# --- malformed requests --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        budget_line(amount=-1),
        budget_line(amount=10**12 + 1),
        budget_line(limit=-1),
        budget_line(limit=4 * 10**15 + 1),
        budget_line(window=Window("fixed", 0)),
        budget_line(window=Window("fixed", 400 * 86_400)),
        budget_line(partition="x" * 5000),
    ],
)
def test_lines_out_of_bounds_are_refused(store: LedgerDriver, line: object) -> None:
    with pytest.raises(PortError):
        store.reserve("r", line)  # type: ignore[arg-type]
    assert store.entries() == ()


def test_requests_out_of_bounds_are_refused(store: LedgerDriver) -> None:
    attempts = (
        lambda: store.reserve("r"),
        lambda: store.reserve("r", *(budget_line(f"b{i}") for i in range(33))),
        lambda: store.reserve("r", budget_line(), budget_line()),
        lambda: store.reserve("", budget_line()),
        lambda: store.reserve("r" * 300, budget_line()),
        lambda: store.reserve("r", budget_line(), ttl_s=0),
        lambda: store.settle("r", tokens=-1),
    )
    for attempt in attempts:
        with pytest.raises(PortError):
            attempt()


def test_texts_are_kept_as_they_are(store: LedgerDriver) -> None:
    partition = "claim.sub=a|b\"'\\{}\x00 é 漢 %s; DROP TABLE bucket"
    outcome = store.reserve("r'|{x}", budget_line("b:{y}", partition=partition))
    assert outcome.states[0].partition == partition
    (row,) = store.usage()
    assert (row.budget, row.partition) == ("b:{y}", partition)
    assert store.entries()[0].request_id == "r'|{x}"


# --- admin ---------------------------------------------------------------------------------------


def test_usage_filters_by_budget_and_partition(store: LedgerDriver) -> None:
    store.reserve("r1", budget_line("a", partition="claim.sub=ann"))
    store.reserve("r2", budget_line("a", partition="claim.sub=bob"))
    store.reserve("r3", budget_line("b", partition="claim.sub=bob"))
    assert [r.partition for r in store.usage(budget="a")] == ["claim.sub=ann", "claim.sub=bob"]
    assert [r.budget for r in store.usage(containing="bob")] == ["a", "b"]
    assert store.usage(budget="a", containing="_") == ()


def test_usage_is_of_the_current_window(store: LedgerDriver) -> None:
    store.reserve("r", budget_line())
    store.settle("r", tokens=7)
    assert totals(store) == {"tokens": (7, 0)}
    store.clock.step(3600)
    assert totals(store) in ({"tokens": (0, 0)}, {})


def test_a_raise_lifts_a_limit_for_a_while(store: LedgerDriver) -> None:
    store.reserve("r1", budget_line(amount=100, window=Window("fixed", 86_400)))
    (row,) = store.usage()
    assert store.run(store.ledger.raise_limit(row.bucket, limit=150, for_s=60))
    line = budget_line(amount=50, window=Window("fixed", 86_400))
    outcome: ReserveOutcome = store.reserve("r2", line)
    assert outcome.granted
    assert outcome.states[0].limit == 150
    store.clock.step(60)
    (row,) = store.usage()
    assert (row.limit, row.spent + row.reserved) == (100, 150)


@pytest.mark.parametrize(
    ("limit", "for_s"), [(-1, 60), (4 * 10**15 + 1, 60), (100, 0), (100, 10**9)]
)
def test_a_raise_out_of_bounds_is_refused(store: LedgerDriver, limit: int, for_s: int) -> None:
    store.reserve("r1", budget_line(amount=10))
    (row,) = store.usage()
    with pytest.raises(PortError):
        store.run(store.ledger.raise_limit(row.bucket, limit=limit, for_s=for_s))
    assert store.usage()[0].limit == 100


def test_a_reset_forgets_what_is_spent_but_not_what_is_open(store: LedgerDriver) -> None:
    store.reserve("r1", budget_line(amount=60))
    store.settle("r1", tokens=60)
    store.reserve("r2", budget_line(amount=30))
    (row,) = store.usage()
    assert store.run(store.ledger.reset(row.bucket))
    assert totals(store) == {"tokens": (0, 30)}
    store.settle("r2", tokens=20)
    assert totals(store) == {"tokens": (20, 0)}


def test_unknown_buckets_can_be_neither_raised_nor_reset(store: LedgerDriver) -> None:
    assert not store.run(store.ledger.raise_limit("0" * 32, limit=1, for_s=1))
    assert not store.run(store.ledger.reset("0" * 32))


# --- restart -------------------------------------------------------------------------------------


def test_a_durable_store_survives_a_restart(store: LedgerDriver) -> None:
    if not store.durable:
        return  # the in-memory ledger says so: it forgets at exit
    first = store.reserve("r1", budget_line(amount=40))
    store.reserve("r2", budget_line(amount=20))
    store.settle("r2", tokens=5)
    store.restart()
    assert totals(store) == {"tokens": (5, 40)}
    assert store.reserve("r1", budget_line(amount=40)) == first
    store.settle("r1", tokens=41)
    assert store.settle("r2", tokens=9) == ()
    assert totals(store) == {"tokens": (46, 0)}
