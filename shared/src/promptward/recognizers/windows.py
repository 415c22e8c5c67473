"""Where in a text a recognizer could match at all: cheap scans shared by all recognizers.

Invariant: every match of a recognizer, and everything its pattern may look at beyond it, lies
inside one of the windows computed for its anchor (property-tested against matching everywhere).
Windows are sorted, disjoint `(start, end)` pairs.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from promptward.recognizers.model import Digits, Literals

Window = tuple[int, int]

# Digits with at most three separators between two of them; four digits is the least any
# recognizer asks for. Separators: those of phone numbers (RFC 3966 visual separators, space, "/").
_RUN = re.compile("[0-9](?:[ .\\-/()\xa0]{0,3}[0-9]){3,}")
_DIGIT = re.compile("[0-9]+")


class DigitRun(NamedTuple):
    """A run of digits with short separators.

    Attributes:
        start, end: code points.
        digits: how many digits.
        dots: how many full stops.
        unbroken: whether there is no separator at all.
    """

    start: int
    end: int
    digits: int
    dots: int
    unbroken: bool


def digit_runs(text: str) -> list[DigitRun]:
    """All runs of four digits or more, left to right."""
    runs = []
    for found in _RUN.finditer(text):
        run = found.group()
        digits = len(run)
        dots = 0
        if not run.isdigit():
            dots = run.count(".")
            digits = sum(map(len, _DIGIT.findall(run)))
        runs.append(DigitRun(found.start(), found.end(), digits, dots, digits == len(run)))
    return runs


def digit_windows(anchor: Digits, runs: list[DigitRun], reach: int) -> list[Window]:
    """Windows around the runs that have enough digits."""
    windows: list[Window] = []
    for run in runs:
        if run.digits < anchor.least or run.dots < anchor.dots:
            continue
        if run.unbroken and run.digits > anchor.most:
            continue
        _append(windows, run.start - anchor.lead, run.end + reach + 1)
    return windows


def literal_windows(anchor: Literals, text: str, reach: int) -> list[Window]:
    """Windows around every place where a literal stands between fitting neighbours."""
    places: list[int] = []
    for value in anchor.values:
        at = text.find(value)
        while at >= 0:
            if _fits(anchor, text, at, at + len(value)):
                places.append(at)
            at = text.find(value, at + 1)
    if len(anchor.values) > 1:
        places.sort()
    windows: list[Window] = []
    for place in places:
        _append(windows, place - anchor.lead, place + anchor.trail + reach + 1)
    return windows


def _fits(anchor: Literals, text: str, start: int, end: int) -> bool:
    if anchor.before and (start == 0 or text[start - 1] not in anchor.before):
        return False
    return not anchor.after or (end < len(text) and text[end] in anchor.after)


def _append(windows: list[Window], start: int, end: int) -> None:
    """Add a window; starts never decrease, so only the last one can overlap."""
    start = max(0, start)
    if windows and start <= windows[-1][1]:
        windows[-1] = (windows[-1][0], max(windows[-1][1], end))
    else:
        windows.append((start, end))
