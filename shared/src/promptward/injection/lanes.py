"""All windows of a view side by side, so that rules and pairs are matched in all of them at once.

Every window has a lane of bits of its own in each concept's mask; the gap behind a lane is wider
than any distance a rule looks over, so nothing reaches from one window into the next.
Invariants: what is found in a lane is what `windows` and one mask per window would find
(property-tested); masks are bounded (`BLOCK` lanes), so long texts cost no more per word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from promptward.injection.features import PAIR_WINDOW, WINDOW_STRIDE, WINDOW_WORDS, window_count
from promptward.injection.lexicon import Masks
from promptward.injection.rules import LONGEST_REACH

LANE = WINDOW_WORDS + max(LONGEST_REACH, PAIR_WINDOW)  # bits from one lane to the next
BLOCK = 16  # lanes in one mask: a few hundred bytes, where shifts and ands cost nearly nothing
_OVERLAP = WINDOW_WORDS - WINDOW_STRIDE
_WINDOW = (1 << WINDOW_WORDS) - 1


class Block(NamedTuple):
    """Some windows of a view.

    Attributes:
        first: number of the first window.
        lanes: how many.
        masks: concept → where it stands, lane by lane.
    """

    first: int
    lanes: int
    masks: Masks


def blocks_of(size: int, masks_in: Callable[[int, int], Masks]) -> Iterator[Block]:
    """The windows of a view, `BLOCK` at a time.

    Args:
        size: words of the view.
        masks_in: the masks of the concepts from one word up to another.
    """
    count = window_count(size)
    if count == 1:
        yield Block(0, 1, masks_in(0, size))
        return
    for first in range(0, count, BLOCK):
        lanes = min(BLOCK, count - first)
        start = first * WINDOW_STRIDE
        masks = masks_in(start, start + lanes * WINDOW_STRIDE + _OVERLAP)
        yield Block(first, lanes, {c: _in_lanes(mask, lanes) for c, mask in masks.items()})


def _in_lanes(mask: int, lanes: int) -> int:
    """The places in `mask`, each in the lane of every window that has it."""
    out = 0
    for lane in range(lanes):
        if places := mask >> lane * WINDOW_STRIDE & _WINDOW:
            out |= places << lane * LANE
    return out


def lanes_in(mask: int) -> list[int]:
    """The lanes in which `mask` has bits."""
    out = []
    while mask:
        lane = ((mask & -mask).bit_length() - 1) // LANE
        out.append(lane)
        done = (lane + 1) * LANE
        mask = mask >> done << done
    return out


def firsts_in(mask: int) -> list[tuple[int, int]]:
    """(lane, offset of its first bit) for every lane in which `mask` has bits."""
    out = []
    while mask:
        lane, offset = divmod((mask & -mask).bit_length() - 1, LANE)
        out.append((lane, offset))
        done = (lane + 1) * LANE
        mask = mask >> done << done
    return out
