"""Calendar windows: aligned to local clocks and a partition of time, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptward.ledger import UnknownTimezoneError, fixed_bounds
from promptward.ports import Window

SECOND_US = 1_000_000
# Zones with the awkward rules: half-hour shift, midnight shift, a skipped day, odd offsets.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Havana",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "Africa/Casablanca",
)


def at(text: str, zone: str = "UTC") -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return int(moment.timestamp()) * SECOND_US


def bounds(window: Window, now_us: int) -> tuple[str, str]:
    zone = ZoneInfo(window.timezone)
    first, last = fixed_bounds(window, now_us)
    return tuple(  # type: ignore[return-value]
        datetime.fromtimestamp(us / SECOND_US, zone).isoformat() for us in (first, last)
    )


@pytest.mark.parametrize(
    ("window", "now", "expected"),
    [
        (Window("fixed", 60), "2025-06-15T12:34:56", ("12:34:00", "12:35:00")),
        (Window("fixed", 3600), "2025-06-15T12:34:56", ("12:00:00", "13:00:00")),
        (Window("fixed", 6 * 3600), "2025-06-15T12:34:56", ("12:00:00", "18:00:00")),
        (Window("fixed", 5 * 3600), "2025-06-15T21:00:00", ("20:00:00", "00:00:00")),
    ],
)
def test_windows_within_a_day_count_from_midnight(
    window: Window, now: str, expected: tuple[str, str]
) -> None:
    assert tuple(text[11:19] for text in bounds(window, at(now))) == expected


@pytest.mark.parametrize(
    ("days", "first", "last"),
    [
        (1, "2025-06-18", "2025-06-19"),
        (7, "2025-06-16", "2025-06-23"),  # Monday to Monday
        (30, "2025-06-15", "2025-07-15"),  # 675 times 30 days after Monday 1970-01-05
    ],
)
def test_windows_of_whole_days_begin_at_local_midnight(days: int, first: str, last: str) -> None:
    window = Window("fixed", days * 86_400, "America/New_York")
    begins, ends = bounds(window, at("2025-06-18T10:00:00", "America/New_York"))
    assert (begins, ends) == (f"{first}T00:00:00-04:00", f"{last}T00:00:00-04:00")


@pytest.mark.parametrize(
    ("months", "first", "last"),
    [
        (1, "2025-06-01", "2025-07-01"),
        (3, "2025-04-01", "2025-07-01"),
        (5, "2025-06-01", "2025-11-01"),
    ],
)
def test_months_are_calendar_months(months: int, first: str, last: str) -> None:
    window = Window("fixed", 30 * 86_400, "Europe/Berlin", months)
    begins, ends = bounds(window, at("2025-06-30T23:59:59", "Europe/Berlin"))
    assert (begins[:19], ends[:19]) == (f"{first}T00:00:00", f"{last}T00:00:00")


def test_a_group_of_months_ends_with_the_year() -> None:
    window = Window("fixed", 150 * 86_400, months=5)
    assert bounds(window, at("2025-12-24T00:00:00"))[1] == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("day", "hours"), [("2025-03-30", 23), ("2025-10-26", 25), ("2025-06-01", 24)]
)
def test_a_day_with_a_clock_change_is_as_long_as_it_is(day: str, hours: int) -> None:
    window = Window("fixed", 86_400, "Europe/Berlin")
    first, last = fixed_bounds(window, at(f"{day}T12:00:00", "Europe/Berlin"))
    assert last - first == hours * 3600 * SECOND_US


def test_the_doubled_hour_is_two_windows() -> None:
    window = Window("fixed", 3600, "Europe/Berlin")
    first = at("2025-10-26T02:30:00", "Europe/Berlin")
    assert fixed_bounds(window, first) != fixed_bounds(window, first + 3600 * SECOND_US)


def test_more_than_a_day_that_is_not_whole_days_counts_from_the_epoch() -> None:
    first, last = fixed_bounds(Window("fixed", 36 * 3600), at("2025-06-15T12:00:00"))
    assert first % (36 * 3600 * SECOND_US) == 0
    assert last - first == 36 * 3600 * SECOND_US


def test_an_unknown_zone_is_an_error() -> None:
    for name in ("Mars/Olympus", "", "../etc/passwd", "/etc/localtime"):
        with pytest.raises(UnknownTimezoneError):
            fixed_bounds(Window("fixed", 86_400, name), 0)


@pytest.mark.parametrize("year", [1969, 9991])
def test_a_clock_that_is_far_off_is_an_error(year: int) -> None:
    now_us = int(datetime(year, 6, 1, tzinfo=UTC).timestamp()) * SECOND_US
    with pytest.raises(ValueError, match="clock"):
        fixed_bounds(Window("fixed", 2 * 86_400), now_us)


windows = st.builds(
    Window,
    st.just("fixed"),
    st.one_of(
        st.sampled_from([1, 60, 900, 3600, 21_600, 86_400, 7 * 86_400, 90 * 86_400]),
        st.integers(1, 366 * 86_400),
    ),
    st.sampled_from(ZONES),
    st.sampled_from([0, 0, 0, 1, 3, 5, 12]),
)


@given(windows, st.integers(at("1995-01-01T00:00:00"), at("2040-01-01T00:00:00")))
def test_windows_partition_time(window: Window, now_us: int) -> None:
    first, last = fixed_bounds(window, now_us)
    assert first <= now_us < last
    assert fixed_bounds(window, first) == (first, last)
    assert fixed_bounds(window, last - 1) == (first, last)
    assert fixed_bounds(window, last)[0] == last
    assert fixed_bounds(window, first - 1)[1] == first


@given(windows, st.integers(at("1995-01-01T00:00:00"), at("2040-01-01T00:00:00")))
def test_windows_within_a_day_are_never_longer_than_asked(window: Window, now_us: int) -> None:
    first, last = fixed_bounds(window, now_us)
    if window.duration_s < 86_400 and not window.months:
        assert last - first <= window.duration_s * SECOND_US
