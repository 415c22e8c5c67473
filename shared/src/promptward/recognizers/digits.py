"""All recognizers of numbers over one scan of a text's digits.

Most recognizers are tried only where `shapes` says that one of their matches may begin. Two kinds
would fit too many numbers: those that need a context word to count, and those that need a word
after the number. They are tried in reach of such a word and nowhere else.

Invariants: the same matches as trying every pattern everywhere (property-tested); what is decided
about a place depends only on the text from it on and on `CONTEXT_CHARS` before it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from promptward.recognizers.compiled import CompiledRecognizer, Windows
from promptward.recognizers.cue_words import CueGate, folded
from promptward.recognizers.model import CONTEXT_CHARS, Digits, Match
from promptward.recognizers.shapes import DEEPEST, ShapeGate, outline_of, shapes
from promptward.recognizers.syntax import parse

# So much of a text is searched at a time, which bounds the memory that takes.
_CHUNK = 65_536
# In a text shorter than this a digit is found sooner than an outline made.
_SHORT = 128
_ANY_DIGIT = re.compile("[0-9]")
# What a chunk knows of the text before and after its digits: a match's beginning, and a number to
# its end (twelve digits with two separators between two are the longest before a label).
_BEFORE, _AFTER = DEEPEST + 1, 48
# Numbers are searched for words together when digits are no farther apart: windows would overlap.
_APART = CONTEXT_CHARS + 16
# What every recognizer that is tried next to words needs (see `Digits`), in the bytes of `_KINDS`.
_NUMBER = re.compile(
    b"0(?<!00)(?:(?<!a0)|(?<=(?<![a0])a0)|(?<=(?<![a0])aa0)|(?<=(?<![a0])aaa0)"
    b"|(?<=(?<![a0])aaaa0))-{0,3}0-{0,3}0-{0,3}0"
)
_DIGIT = re.compile(b"0")
_PLACE = re.compile("[0-9A-Za-z_]+|[+(]")
# Characters that a match can have before its first digit (a month's name, "September of the").
_LONGEST_LEAD = 32
_LONGEST_LABEL = 16  # characters from a number to the end of the word after it
_TO_LABEL = 3  # from the last digit of a number to the word after it


def _kind(byte: int) -> int:
    """`0` for a digit of an outline, `a` for a letter, `-` for what may separate digits."""
    char = chr(byte)
    if char in "01":
        return ord("0")
    if char in " .()/-\xa0":  # RFC 3966 visual separators, space, "/"
        return ord("-")
    return ord("a") if char.isascii() and (char.isalpha() or char == "_") else ord(" ")


_KINDS = bytes(map(_kind, range(256)))

_Cue = tuple[int, frozenset[int]]  # where it ends, slots


@dataclass(slots=True)
class _Scan:
    """What lasts for one scan of one text.

    Attributes:
        resume: slot -> where the recognizer may be tried again.
        windows: see `compiled.Windows`.
    """

    text: str
    found: list[Match]
    resume: list[int]
    windows: Windows = field(default_factory=dict)


class _Chunk(NamedTuple):
    """Part of a text: what may match before one of its digits is tried with it.

    Attributes:
        outline: of the part, and of `_BEFORE` and `_AFTER` characters around it.
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


def _chunks(text: str, start: int) -> Iterator[_Chunk]:
    """The chunks from `start` on that hold a digit."""
    for begin in range(start, len(text), _CHUNK):
        base, end = max(0, begin - _BEFORE), min(begin + _CHUNK, len(text))
        outline = outline_of(text[base : end + _AFTER])
        kinds = outline.translate(_KINDS)
        first = kinds.find(b"0")
        if first >= 0:
            low, high = max(begin - base, first - DEEPEST), kinds.rfind(b"0") + 1
            yield _Chunk(outline, kinds, base, low, min(end - base, high))


class DigitScanner:
    """Recognizers with a `Digits` anchor, run together.

    Args:
        recognizers: with the least score that counts for each.
    """

    def __init__(self, recognizers: Sequence[tuple[CompiledRecognizer, float]]) -> None:
        self._recognizers = list(recognizers)
        shaped: dict[int, frozenset[str]] = {}
        cued: dict[int, frozenset[str]] = {}
        labelled: dict[int, frozenset[str]] = {}
        words: dict[int, tuple[str, ...]] = {}
        self._unshaped: list[int] = []
        for slot, (compiled, minimum) in enumerate(recognizers):
            labels, found = _labels(compiled), _shapes(compiled.spec.pattern)
            if _is_cued(compiled, minimum):
                words[slot] = compiled.spec.context
                cued[slot] = found
            elif labels:
                words[slot] = labels
                labelled[slot] = found
            elif found:
                shaped[slot] = found
            else:
                self._unshaped.append(slot)
        self._shapes = ShapeGate(shaped)
        self._words = CueGate(words) if words else None
        self._cued = ShapeGate({slot: found for slot, found in cued.items() if found})
        self._cued_unshaped = frozenset(slot for slot, found in cued.items() if not found)
        self._labelled = ShapeGate(labelled)
        self._cued_slots, self._labelled_slots = frozenset(cued), frozenset(labelled)

    def scan(self, text: str, start: int, found: list[Match]) -> None:
        """Append the accepted matches that begin at `start` or later."""
        if not self._recognizers or (
            len(text) - start < _SHORT and _ANY_DIGIT.search(text, start) is None
        ):
            return
        scan = _Scan(text, found, [start] * len(self._recognizers))
        for chunk in _chunks(text, start):
            for at, slots in self._shapes.places(chunk.outline, chunk.low, chunk.high):
                for slot in slots:
                    self._try(slot, chunk.base + at, scan)
            for slot in self._unshaped:
                self._try_at_words(slot, scan, chunk)
            if self._words is not None:
                self._near_words(scan, chunk, self._words)

    def _try_at_words(self, slot: int, scan: _Scan, chunk: _Chunk) -> None:
        """Try what has no shapes wherever it may have a digit near its beginning."""
        for low, high in _stretches(_DIGIT, chunk):
            begin = max(0, chunk.base + low - _LONGEST_LEAD)
            for place in _PLACE.finditer(scan.text, begin, chunk.base + high):
                self._try(slot, place.start(), scan)

    def _near_words(self, scan: _Scan, chunk: _Chunk, gate: CueGate[int]) -> None:
        """Try what needs a word before or after a number."""
        base = chunk.base
        for low, high in _stretches(_NUMBER, chunk):
            begin = max(0, base + low - CONTEXT_CHARS - _LONGEST_LEAD)
            words = gate.found_in(folded(scan.text[begin : base + high + _LONGEST_LABEL]))
            cued = self._cued_slots
            cues = [(begin + end, slots) for _, end, slots in words if not cued.isdisjoint(slots)]
            if cues:
                self._after_cues(scan, chunk, cues, min(high, chunk.high))
            for start, _, slots in words:
                label = max(0, begin + start - base)
                behind = chunk.kinds[max(0, label - _TO_LABEL) : label]
                if b"0" in behind and not self._labelled_slots.isdisjoint(slots):
                    self._before_label(scan, chunk, label, slots)

    def _before_label(self, scan: _Scan, chunk: _Chunk, label: int, slots: frozenset[int]) -> None:
        """Try what has the label that begins there behind it."""
        low, high = max(chunk.low, label - _AFTER), min(label, chunk.high)
        for at, fitting in self._labelled.places(chunk.outline, low, high):
            for slot in slots.intersection(fitting):
                self._try(slot, chunk.base + at, scan)

    def _after_cues(self, scan: _Scan, chunk: _Chunk, cues: Sequence[_Cue], high: int) -> None:
        """Try what has a context word before it.

        Args:
            cues: where one ends in the text and whose it is, from left to right.
            high: no match begins with a digit at or after it in the outline.
        """
        base, ends = chunk.base, [end for end, _ in cues]

        def open_at(at: int) -> frozenset[int]:
            near = cues[bisect_left(ends, at - CONTEXT_CHARS) : bisect_right(ends, at)]
            return frozenset().union(*(slots for _, slots in near))

        for first, last in _reaches(ends):
            begin, end = max(chunk.low, first - base), min(last - base, high)
            for at, fitting in self._cued.places(chunk.outline, begin, end):
                for slot in open_at(base + at).intersection(fitting):
                    self._try(slot, base + at, scan)
            if any(not self._cued_unshaped.isdisjoint(slots) for _, slots in cues):
                for place in _PLACE.finditer(scan.text, first, last):
                    for slot in open_at(place.start()) & self._cued_unshaped:
                        self._try(slot, place.start(), scan)

    def _try(self, slot: int, at: int, scan: _Scan) -> None:
        """Try one recognizer at one place, unless the place is before where it goes on."""
        if at < scan.resume[slot]:
            return
        compiled, minimum = self._recognizers[slot]
        hit = compiled.exact.match(scan.text, at)
        if hit is not None:
            end = hit.end()
            score = compiled.score(scan.text, at, end, minimum, scan.windows)
            if score > 0.0:
                scan.found.append(Match(compiled.entity, at, end, score, compiled.id))
                scan.resume[slot] = end


def _stretches(first: re.Pattern[bytes], chunk: _Chunk) -> Iterator[tuple[int, int]]:
    """Where digits are no farther apart than `_APART`, from the first hit on."""
    kinds = chunk.kinds
    end = chunk.high + _AFTER  # a match that begins in the chunk has its first digits before this
    hit = first.search(kinds, chunk.low, end)
    while hit is not None:
        high = hit.end()
        while (last := kinds.rfind(b"0", high, high + _APART)) >= 0:
            high = last + 1
        yield hit.start(), high
        hit = first.search(kinds, high, end)


def _reaches(ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Stretches in which a match may have a cue before it, disjoint, for cues that end there."""
    first = last = ends[0]
    for end in ends:
        if end > last:
            yield first, last
            first = end
        last = end + CONTEXT_CHARS + 1
    yield first, last


def _labels(compiled: CompiledRecognizer) -> tuple[str, ...]:
    assert isinstance(compiled.spec.anchor, Digits)
    if not compiled.starts_words:
        raise ValueError(f"{compiled.id}: no word character may come directly before a number")
    return compiled.spec.anchor.labels


def _is_cued(compiled: CompiledRecognizer, minimum: float) -> bool:
    """Whether nothing but a context word can lift the score to the minimum."""
    return bool(compiled.spec.context) and compiled.spec.score < minimum


@lru_cache(maxsize=1024)
def _shapes(pattern: str) -> frozenset[str]:
    """The shapes of a pattern; none for one with too many before its first digit."""
    try:
        return shapes(parse(pattern))
    except ValueError:
        return frozenset()
