"""All windows of a view side by side, so that rules and pairs are matched in all of them at once.

Every window has a lane of bits of its own in each concept's mask; the gap behind a lane is wider
than any distance a rule looks over, so nothing reaches from one window into the next.
Invariants: what is found in a lane is what `windows` and one mask per window would find
(property-tested); masks are bounded (`BLOCK` lanes), so long texts cost no more per word.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from promptward.injection.features import PAIR_WINDOW, WINDOW_STRIDE, WINDOW_WORDS, window_count
from promptward.injection.lexicon import Masks, masks_at
from promptward.injection.rules import LONGEST_REACH

LANE = WINDOW_WORDS + max(LONGEST_REACH, PAIR_WINDOW)  # bits from one lane to the next
BLOCK = 32  # lanes in one mask: below a kilobyte, where shifts and ands cost nearly nothing
_OVERLAP = WINDOW_WORDS - WINDOW_STRIDE


@dataclass(frozen=True, slots=True)
class Block:
    """Some windows of a view.

    Attributes:
        first: number of the first window.
        count: how many.
        masks: concept → where it stands, lane by lane.
    """

    first: int
    count: int
    masks: Masks


def blocks_of(size: int, marks: Sequence[tuple[int, str]]) -> Iterator[Block]:
    """The windows of a view of `size` words with the given concepts, `BLOCK` at a time."""
    count = window_count(size)
    for first in range(0, count, BLOCK):
        lanes = min(BLOCK, count - first)
        start = first * WINDOW_STRIDE
        some = marks
        if count > BLOCK:
            low = bisect_left(marks, (start, ""))
            high = bisect_left(marks, (start + lanes * WINDOW_STRIDE + _OVERLAP, ""))
            some = marks[low:high]
        yield Block(first, lanes, _masks(some, start, lanes))


def _masks(marks: Sequence[tuple[int, str]], start: int, lanes: int) -> Masks:
    places: dict[str, list[int]] = {}
    if lanes == 1:
        for at, concept in marks:
            places.setdefault(concept, []).append(at - start)
        return masks_at(places, WINDOW_WORDS)
    for at, concept in marks:
        lane, offset = divmod(at - start, WINDOW_STRIDE)
        found = places.setdefault(concept, [])
        if lane < lanes:
            found.append(lane * LANE + offset)
        if lane and offset < _OVERLAP:
            found.append((lane - 1) * LANE + WINDOW_STRIDE + offset)
    return masks_at(places, lanes * LANE)


def lanes_in(mask: int) -> list[int]:
    """The lanes in which `mask` has bits."""
    return [lane for lane, _ in firsts_in(mask)]


def firsts_in(mask: int) -> list[tuple[int, int]]:
    """(lane, offset of its first bit) for every lane in which `mask` has bits."""
    out = []
    while mask:
        lane, offset = divmod((mask & -mask).bit_length() - 1, LANE)
        out.append((lane, offset))
        done = (lane + 1) * LANE
        mask = mask >> done << done
    return out
