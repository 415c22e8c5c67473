"""Stretches of a text that are made of certain characters only: where a long pattern may match.

A pattern that needs many characters of one kind would try every place of an ordinary text. The
stretches are found by two passes over bytes, and the pattern is tried on those alone.
Invariants: linear time; a character outside ASCII may always be part of a stretch, so none that
matters is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_GAP, _PART = b" ", b"x"


class Stretches:
    """Finds stretches of at least `least` characters out of `letters` or outside ASCII."""

    __slots__ = ("_least", "_table")

    def __init__(self, letters: str, least: int) -> None:
        # what is outside ASCII reads `?` below
        parts = frozenset(map(ord, letters + "?"))
        self._table = b"".join(_PART if code in parts else _GAP for code in range(256))
        self._least = _PART * least

    def __call__(self, text: str) -> Iterator[tuple[int, int]]:
        """(start, end) of every stretch of `text`."""
        marked = text.encode("ascii", "replace").translate(self._table)
        start = marked.find(self._least)
        while start >= 0:
            end = marked.find(_GAP, start)
            end = len(marked) if end < 0 else end
            yield start, end
            start = marked.find(self._least, end)


def matches_in(
    pattern: re.Pattern[str], stretches: Stretches, text: str
) -> Iterator[re.Match[str]]:
    """The matches of `pattern` in `text`; all its characters must be those of the stretches."""
    for start, end in stretches(text):
        # one more character, so that a boundary at the end is seen as it is
        yield from pattern.finditer(text, start, end + 1)
