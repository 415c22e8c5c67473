"""Where the digits of a text are: chunks of its outline, stretches with digits close together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from promptward.recognizers.model import CONTEXT_CHARS
from promptward.recognizers.shapes import DEEPEST, outline_of

# So much of a text is searched at a time, which bounds the memory that takes.
_CHUNK = 65_536
# What a chunk knows of the text before and after its digits: a match's beginning, and a number to
# its end (twelve digits with two separators between two are the longest before a label).
_BEFORE, AFTER = DEEPEST + 1, 48
# Numbers are searched for words together when digits are no farther apart: windows would overlap.
_APART = CONTEXT_CHARS + 16
# What every recognizer that is tried next to words needs (see `Digits`), in the bytes of `_KINDS`.
NUMBER = re.compile(
    b"0(?<!00)(?:(?<!a0)|(?<=(?<![a0])a0)|(?<=(?<![a0])aa0)|(?<=(?<![a0])aaa0)"
    b"|(?<=(?<![a0])aaaa0))-{0,3}0-{0,3}0-{0,3}0"
)
DIGIT = re.compile(b"0")


def _kind(byte: int) -> int:
    """`0` for a digit of an outline, `a` for a letter, `-` for what may separate digits."""
    char = chr(byte)
    if char in "01":
        return ord("0")
    if char in " .()/-\xa0":  # RFC 3966 visual separators, space, "/"
        return ord("-")
    return ord("a") if char.isascii() and (char.isalpha() or char == "_") else ord(" ")


_KINDS = bytes(map(_kind, range(256)))


class Chunk(NamedTuple):
    """Part of a text: what may match before one of its digits is tried with it.

    Attributes:
        outline: of the part, and of `_BEFORE` and `AFTER` characters around it.
        kinds: of the outline's bytes.
        base: where the outline begins in the text.
        low, high: the part in the outline, from its first digit (and what may stand before it)
            to its last.
    """

    outline: bytes
    kinds: bytes
    base: int
    low: int
    high: int


def chunks(text: str, start: int) -> Iterator[Chunk]:
    """The chunks from `start` on that hold a digit."""
    for begin in range(start, len(text), _CHUNK):
        base, end = max(0, begin - _BEFORE), min(begin + _CHUNK, len(text))
        outline = outline_of(text[base : end + AFTER])
        kinds = outline.translate(_KINDS)
        first = kinds.find(b"0")
        if first >= 0:
            low, high = max(begin - base, first - DEEPEST), kinds.rfind(b"0") + 1
            yield Chunk(outline, kinds, base, low, min(end - base, high))


def stretches_of(first: re.Pattern[bytes], chunk: Chunk) -> Iterator[tuple[int, int]]:
    """Where digits are no farther apart than `_APART`, from the first hit on."""
    kinds = chunk.kinds
    end = chunk.high + AFTER  # a match that begins in the chunk has its first digits before this
    hit = first.search(kinds, chunk.low, end)
    while hit is not None:
        high = hit.end()
        while (last := kinds.rfind(b"0", high, high + _APART)) >= 0:
            high = last + 1
        yield hit.start(), high
        hit = first.search(kinds, high, end)
