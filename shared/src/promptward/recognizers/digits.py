"""All recognizers of numbers over one scan of a text's digits.

Most recognizers are tried only where `shapes` says that one of their matches may begin. Two kinds
would fit too many numbers: those that need a context word to count, and those that need a word
after the number. They are tried in reach of such a word and nowhere else.

Invariants: the same matches as trying every pattern everywhere (property-tested); what is decided
about a place depends only on the text from it on and on `CONTEXT_CHARS` before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import or_
from typing import NamedTuple

from promptward.recognizers.compiled import CompiledRecognizer
from promptward.recognizers.cue_gate import CueGate, FoundCue, Surroundings
from promptward.recognizers.digit_chunks import (
    AFTER,
    DIGIT,
    NUMBER,
    Chunk,
    chunks,
    stretches_of,
)
from promptward.recognizers.model import CONTEXT_CHARS, NOT_WORD, Digits, Match
from promptward.recognizers.partial import head_source
from promptward.recognizers.shapes import ShapeGate, shapes
from promptward.recognizers.syntax import chars_source, parse

# In a text shorter than this a digit is found sooner than an outline made.
_SHORT = 128
_ANY_DIGIT = re.compile("[0-9]")
# Characters that a match can have before its first digit (a month's name, "September of the").
_LONGEST_LEAD = 32
_LONGEST_LABEL = 16  # characters from a number to the end of the word after it
_TO_LABEL = 3  # from the last digit of a number to the word after it


@dataclass(slots=True)
class _Scan:
    """What lasts for one scan of one text.

    Attributes:
        resume: slot -> where the recognizer may be tried again.
    """

    text: str
    found: list[Match]
    resume: list[int]


class _Number(NamedTuple):
    """A recognizer of numbers.

    Attributes:
        slot: its place among them; its bit names it in sets of them, which are integers.
        minimum: the least score that counts.
        match: see `CompiledRecognizer.exact`.
        worded: whether words before a match decide about it.
    """

    slot: int
    bit: int
    compiled: CompiledRecognizer
    minimum: float
    match: Callable[[str, int], re.Match[str] | None]
    worded: bool


class DigitScanner:
    """Recognizers with a `Digits` anchor, run together.

    Args:
        recognizers: with the least score that counts for each.
    """

    def __init__(self, recognizers: Sequence[tuple[CompiledRecognizer, float]]) -> None:
        self._numbers: list[_Number] = []
        shaped: dict[int, frozenset[str]] = {}
        cued: dict[int, frozenset[str]] = {}
        labelled: dict[int, frozenset[str]] = {}
        self._unshaped: list[tuple[_Number, re.Pattern[str]]] = []
        self._cued_unshaped: list[tuple[_Number, re.Pattern[str]]] = []
        for slot, (compiled, minimum) in enumerate(recognizers):
            spec, bit = compiled.spec, 1 << slot
            if not compiled.starts_words:
                raise ValueError(f"{spec.id}: no word character may come directly before a number")
            worded = bool(spec.context or spec.denial)
            number = _Number(slot, bit, compiled, minimum, compiled.exact.match, worded)
            self._numbers.append(number)
            found = _shapes(spec.pattern)
            if _is_cued(number):
                cued[bit] = found
                if not found:
                    self._cued_unshaped.append((number, _beginnings(compiled)))
            elif _labels(number):
                labelled[bit] = found
            elif found:
                shaped[bit] = found
            else:
                self._unshaped.append((number, _beginnings(compiled)))
        self._shapes, self._cued = ShapeGate(shaped), ShapeGate(cued)
        self._labelled = ShapeGate(labelled)
        self._cued_bits, self._labelled_bits = sum(cued), sum(labelled)
        self._words = CueGate(
            {n.bit: n.compiled.spec.context for n in self._numbers},
            {n.bit: n.compiled.spec.denial for n in self._numbers},
            {n.bit: _labels(n) for n in self._numbers},
        )
        self._sets = {bits: self._members(bits) for bits in self._shapes.sets}

    def _members(self, bits: int) -> tuple[_Number, ...]:
        """The recognizers of a set."""
        found = []
        while bits:
            slot = bits.bit_length() - 1
            found.append(self._numbers[slot])
            bits ^= 1 << slot
        return tuple(found)

    def scan(self, text: str, start: int, found: list[Match]) -> None:
        """Append the accepted matches that begin at `start` or later."""
        if not self._numbers or (
            len(text) - start < _SHORT and _ANY_DIGIT.search(text, start) is None
        ):
            return
        scan = _Scan(text, found, [start] * len(self._numbers))
        for chunk in chunks(text, start):
            stretches = list(self._read_words(text, chunk))
            self._try_shapes(scan, chunk, stretches)
            if self._unshaped:
                self._try_at_words(scan, chunk)
            for words in stretches:
                if words.cues:
                    self._near_words(scan, chunk, words)

    def _read_words(self, text: str, chunk: Chunk) -> Iterator[Surroundings]:
        """The words around the numbers that some recognizer may need a word for."""
        if self._cued_bits or self._labelled_bits:
            for low, high in stretches_of(NUMBER, chunk):
                first = max(0, chunk.base + low - _LONGEST_LEAD)
                yield self._words.around(text, first, chunk.base + high, _LONGEST_LABEL)

    def _try_shapes(self, scan: _Scan, chunk: Chunk, stretches: Sequence[Surroundings]) -> None:
        """Try what needs no word wherever its shapes are."""
        upcoming = iter(stretches)
        words = next(upcoming, None)
        for at, bits in self._shapes.places(chunk.outline, chunk.low, chunk.high):
            place = chunk.base + at
            while words is not None and words.last < place:
                words = next(upcoming, None)
            known = words is not None and words.first <= place
            self._try(self._sets[bits], place, scan, words if known else None)

    def _try_at_words(self, scan: _Scan, chunk: Chunk) -> None:
        """Try what has no shapes wherever it may have a digit near its beginning."""
        for low, high in stretches_of(DIGIT, chunk):
            begin, end = max(0, chunk.base + low - _LONGEST_LEAD), chunk.base + high
            for number, beginnings in self._unshaped:
                for hit in beginnings.finditer(scan.text, begin, end):
                    self._try((number,), hit.start(), scan)

    def _near_words(self, scan: _Scan, chunk: Chunk, words: Surroundings) -> None:
        """Try what needs a word before or after a number."""
        cued = [cue for cue in words.cues if cue[2] & self._cued_bits]
        if cued:
            self._after_cues(scan, chunk, words, cued)
        for start, _, _, _, labelled in words.cues:
            if labelled:
                label = max(0, start - chunk.base)
                if b"0" in chunk.kinds[max(0, label - _TO_LABEL) : label]:
                    self._before_label(scan, chunk, label, labelled)

    def _before_label(self, scan: _Scan, chunk: Chunk, label: int, labelled: int) -> None:
        """Try what has the label that begins there behind it."""
        low, high = max(chunk.low, label - AFTER), min(label, chunk.high)
        for at, bits in self._labelled.places(chunk.outline, low, high):
            self._try(self._members(bits & labelled), chunk.base + at, scan)

    def _after_cues(
        self, scan: _Scan, chunk: Chunk, words: Surroundings, cued: Sequence[FoundCue]
    ) -> None:
        """Try what has a context word before it.

        Args:
            cued: such words, by where they end.
        """
        base = chunk.base
        high = min(words.last - base, chunk.high)
        helped = reduce(or_, (helps for _, _, helps, _, _ in cued))
        unshaped = [item for item in self._cued_unshaped if item[0].bit & helped]
        until = helps = 0
        for first, last in _reaches([end for _, end, _, _, _ in cued]):
            for at, bits in self._cued.places(
                chunk.outline, max(chunk.low, first - base), min(last - base, high)
            ):
                place = base + at
                if place >= until:
                    helps, _, until = words.before(place)
                if bits & helps:
                    self._try(self._members(bits & helps), place, scan, words)
            for number, beginnings in unshaped:
                for hit in beginnings.finditer(scan.text, first, min(last, words.last + 1)):
                    if number.bit & words.before(hit.start())[0]:
                        self._try((number,), hit.start(), scan, words)

    def _try(
        self,
        numbers: Sequence[_Number],
        at: int,
        scan: _Scan,
        words: Surroundings | None = None,
    ) -> None:
        """Try recognizers at one place, unless it is before where they go on.

        Args:
            words: around the place, if they have been read.
        """
        text, resume = scan.text, scan.resume
        for slot, bit, compiled, minimum, match, worded in numbers:
            if at < resume[slot] or (hit := match(text, at)) is None:
                continue
            helped = False
            if worded:
                if words is None:
                    words = self._words.around(text, at, at)
                helps, denies, _ = words.before(at)
                helped = helps & bit != 0
                if denies & bit and not (helped and not words.is_denied(at, bit)):
                    continue
            end = hit.end()
            score = compiled.unvetoed(text, at, end, minimum, helped=helped)
            if score > 0.0:
                scan.found.append(Match(compiled.entity, at, end, score, compiled.id))
                resume[slot] = end


def _reaches(ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Stretches in which a match may have a cue before it, disjoint, for cues that end there."""
    first = last = ends[0]
    for end in ends:
        if end > last:
            yield first, last
            first = end
        last = end + CONTEXT_CHARS + 1
    yield first, last


def _labels(number: _Number) -> tuple[str, ...]:
    anchor = number.compiled.spec.anchor
    assert isinstance(anchor, Digits)
    return anchor.labels


def _is_cued(number: _Number) -> bool:
    """Whether nothing but a context word can lift the score to the minimum."""
    spec = number.compiled.spec
    return bool(spec.context) and spec.score < number.minimum


def _beginnings(compiled: CompiledRecognizer) -> re.Pattern[str]:
    """A pattern that finds every place where a match may begin."""
    head, first = head_source(parse(compiled.spec.pattern)), chars_source(compiled.first)
    return re.compile(f"{first}(?<!{NOT_WORD}.)(?<=(?={head}).)", re.DOTALL)


@lru_cache(maxsize=1024)
def _shapes(pattern: str) -> frozenset[str]:
    """The shapes of a pattern; none for one with too many before its first digit."""
    try:
        return shapes(parse(pattern))
    except ValueError:
        return frozenset()
