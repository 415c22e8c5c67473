"""Where a piece of a derived text came from in the text before it.

An origin is a callable `(start, end) -> (start, end)`, both half-open ranges of code points.
Invariants: monotone; never outside the earlier text; origins compose by calling one after another.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from promptward.injection.respelling import char_class, not_ascii

Origin = Callable[[int, int], tuple[int, int]]


def identity(start: int, end: int) -> tuple[int, int]:
    """The origin of a text that was not changed, or only letter by letter."""
    return start, end


def within(start: int, end: int) -> Origin:
    """The origin of a decoded payload: all of it came from `start:end`."""
    return lambda _start, _end: (start, end)


def mirrored(length: int) -> Origin:
    """The origin of a reversed text of `length` code points."""
    return lambda start, end: (length - end, length - start)


def then(later: Origin, earlier: Origin) -> Origin:
    """The origin through two steps: back through `later`, then through `earlier`."""
    if later is identity:
        return earlier
    if earlier is identity:
        return later
    return lambda start, end: earlier(*later(start, end))


class Folded:
    """The origin of `text.translate(table)`; the map is built when it is first asked.

    Only characters that became none or several shift what follows them; the rest lies between.

    Args:
        text: the text before folding.
        table: the `str.translate` table that was used; ASCII keeps its length in it.
    """

    __slots__ = ("_ends", "_places", "_table", "_text")

    def __init__(self, text: str, table: Mapping[int, str]) -> None:
        self._text = text
        self._table = table
        self._places: list[int] | None = None  # of the characters that are not written as one
        self._ends: list[int] = []  # where each of these ends in the new text

    def _build(self) -> list[int]:
        get, text = self._table.get, self._text
        sizes = {c: len(get(ord(c), c)) for c in frozenset(not_ascii(text))}
        uneven = {c for c, size in sizes.items() if size != 1}
        places = [m.start() for m in char_class(set(map(ord, uneven))).finditer(text)]
        grown = accumulate(sizes[text[at]] - 1 for at in places)
        self._ends = [at + 1 + more for at, more in zip(places, grown, strict=True)]
        self._places = places
        return places

    def _before(self, at: int) -> int:
        """How many characters of the text end at or before `at` in the new text."""
        places = self._build() if self._places is None else self._places
        index = bisect_right(self._ends, at)
        grown = self._ends[index - 1] - places[index - 1] - 1 if index else 0
        return min(at - grown, places[index] if index < len(places) else len(self._text))

    def __call__(self, start: int, end: int) -> tuple[int, int]:
        first = self._before(start)
        if end <= start:
            return first, first
        return first, min(self._before(end - 1) + 1, len(self._text))


class Pieced:
    """The origin of a text put together from pieces of another.

    Args:
        pieces: `(start in the new text, start in the old, end in the old)`, in order; a piece of
            equal length maps letter by letter, any other as a whole.
        length: length of the new text.
    """

    __slots__ = ("_length", "_pieces", "_starts")

    def __init__(self, pieces: Sequence[tuple[int, int, int]], length: int) -> None:
        self._pieces = pieces
        self._starts = [piece[0] for piece in pieces]
        self._length = length

    def _edge(self, at: int, *, end: bool) -> int:
        index = max(0, bisect_right(self._starts, at - 1 if end else at) - 1)
        begun, low, high = self._pieces[index]
        following = self._starts[index + 1] if index + 1 < len(self._pieces) else self._length
        if following - begun == high - low:
            return min(low + max(0, at - begun), high)
        return high if end else low

    def __call__(self, start: int, end: int) -> tuple[int, int]:
        if not self._pieces:
            return 0, 0
        first = self._edge(start, end=False)
        return first, max(first, self._edge(end, end=True)) if end > start else first
