"""Windows side by side in one mask."""

from __future__ import annotations

from collections.abc import Callable

from promptward.injection.features import WINDOW_STRIDE, WINDOW_WORDS, windows
from promptward.injection.lanes import BLOCK, LANE, blocks_of, firsts_in, lanes_in
from promptward.injection.lexicon import Masks, masks_of


def masks_among(marks: list[tuple[int, str]]) -> Callable[[int, int], Masks]:
    return lambda start, end: masks_of([m for m in marks if start <= m[0] < end], start)


def test_a_word_stands_in_every_window_that_has_it() -> None:
    marks = [(0, "A"), (119, "A"), (120, "B"), (159, "B"), (160, "C")]
    (block,) = blocks_of(400, masks_among(marks))
    assert (block.first, block.lanes) == (0, 3)
    assert block.masks["A"] == 1 | 1 << 119
    assert block.masks["B"] == 1 << 120 | 1 << 159 | 1 << LANE | 1 << LANE + 39
    assert block.masks["C"] == 1 << LANE + 40


def test_long_texts_are_read_in_blocks() -> None:
    size = (2 * BLOCK + 3) * WINDOW_STRIDE
    marks = [(at, "A") for at in range(0, size, 7)]
    blocks = list(blocks_of(size, masks_among(marks)))
    assert sum(block.lanes for block in blocks) == sum(1 for _ in windows([""] * size))
    for block in blocks:
        for lane in range(block.lanes):
            start = (block.first + lane) * WINDOW_STRIDE
            bits = block.masks["A"] >> lane * LANE & (1 << WINDOW_WORDS) - 1
            stands = {at - start for at, _ in marks if start <= at < start + WINDOW_WORDS}
            assert {i for i in range(WINDOW_WORDS) if bits >> i & 1} == stands


def test_the_first_bit_of_every_lane() -> None:
    mask = 1 << 5 | 1 << 9 | 1 << LANE * 3 + 2
    assert firsts_in(mask) == [(0, 5), (3, 2)]
    assert lanes_in(mask) == [0, 3]
    assert firsts_in(0) == []
