"""Where calendar-aligned windows begin and end, daylight saving included.

Invariants: the windows of one rule partition time (no gap, no overlap); all results are integer
microseconds of Unix time; no clock is read.

The rules (`fixed_bounds`):
- `months`: calendar months counted from January of each year.
- whole days: local midnights, counted in groups from Monday 1970-01-05, so 7 days start on the
  Monday of ISO 8601. A day with a clock change is 23 or 25 hours long.
- less than a day: steps of the duration since local midnight; the last step ends at midnight. Steps
  count elapsed time, so a change of the clock never makes one longer than its duration.
- anything else (36 hours): multiples since 1970-01-01T00:00Z.

`zoneinfo` is loaded only for zones other than UTC; Pyodide needs the `tzdata` package for those.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

from promptward.ports import Window

SECOND_US = 1_000_000
DAY_S = 86_400
MONDAY_ORDINAL = date(1970, 1, 5).toordinal()
LAST_YEAR = 9990
"""Past this a window's end would leave what `datetime` can express."""


class UnknownTimezoneError(ValueError):
    """The zone is not in this runtime's database."""


def fixed_bounds(window: Window, now_us: int) -> tuple[int, int]:
    """Start and end (exclusive) of the window that holds `now_us`, in microseconds.

    Raises:
        UnknownTimezoneError: `window.timezone` is not known here.
        ValueError: `now_us` lies outside the years 1970..9990.
    """
    duration_s = window.duration_s
    zone = timezone(window.timezone)
    if zone is UTC and not window.months and (DAY_S % duration_s == 0):
        start_us = now_us - now_us % (duration_s * SECOND_US)
        return start_us, start_us + duration_s * SECOND_US
    today = _local_date(zone, now_us)
    if window.months:
        return _month_bounds(zone, today, window.months)
    if duration_s % DAY_S == 0:
        return _day_bounds(zone, today, duration_s // DAY_S)
    if duration_s > DAY_S:
        start_us = now_us - now_us % (duration_s * SECOND_US)
        return start_us, start_us + duration_s * SECOND_US
    midnight, next_midnight = _day_bounds(zone, today, 1)
    start_us = now_us - (now_us - midnight) % (duration_s * SECOND_US)
    return start_us, min(start_us + duration_s * SECOND_US, next_midnight)


@lru_cache(maxsize=64)
def timezone(name: str) -> tzinfo:
    """The zone called `name` (IANA).

    Raises:
        UnknownTimezoneError: it is not known here.
    """
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownTimezoneError(f"unknown time zone {name!r}") from error


def _local_date(zone: tzinfo, now_us: int) -> date:
    today = datetime.fromtimestamp(now_us // SECOND_US, zone).date()
    if not 1970 <= today.year <= LAST_YEAR:
        raise ValueError("the clock is outside the years 1970..9990")
    return today


def _day_bounds(zone: tzinfo, today: date, days: int) -> tuple[int, int]:
    first = today - timedelta(days=(today.toordinal() - MONDAY_ORDINAL) % days)
    return _midnight_us(zone, first), _midnight_us(zone, first + timedelta(days=days))


def _month_bounds(zone: tzinfo, today: date, months: int) -> tuple[int, int]:
    count = today.year * 12 + today.month - 1
    first = count - (today.month - 1) % months
    # A group that does not divide the year ends with it, so that January always starts one.
    after = min(first + months, (today.year + 1) * 12)
    return _month_start_us(zone, first), _month_start_us(zone, after)


def _month_start_us(zone: tzinfo, count: int) -> int:
    return _midnight_us(zone, date(count // 12, count % 12 + 1, 1))


@lru_cache(maxsize=1024)
def _midnight_us(zone: tzinfo, day: date) -> int:
    """The first instant of a local day.

    PEP 495 with fold=0: of a midnight that happens twice the first is meant, and one that a clock
    change skips is the instant of the change.
    """
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return int(local.timestamp()) * SECOND_US
