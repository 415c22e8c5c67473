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

from promptward.recognizers.compiled import CompiledRecognizer, Windows
from promptward.recognizers.cue_words import CueGate, folded
from promptward.recognizers.model import CONTEXT_CHARS, Digits, Match
from promptward.recognizers.shapes import DEEPEST, ShapeGate, shapes
from promptward.recognizers.syntax import parse

# Digits at most this far apart are one stretch: farther than a shape is long. The bound keeps
# what `re` remembers of a stretch small.
_STRETCH = re.compile("[0-9][0-9]*(?:[^0-9]{1,24}[0-9]+){0,200}")
_DIGIT = re.compile("[0-9]")
_SHORT = 256  # characters
# What every recognizer that is tried next to words needs (see `Digits`): four digits with the
# separators of phone numbers (RFC 3966 visual separators, space, "/") between them.
_NUMBER = re.compile("[0-9](?:[ .()/\xa0-]{0,3}[0-9]){3}")
_PLACE = re.compile("[0-9A-Za-z_]+|[+(]")
# Characters that a match can have before its first digit (a month's name, "September of the").
_LONGEST_LEAD = 32
_LONGEST_LABEL = 16  # characters from a number to the end of the word after it
# Characters of a number before a label: twelve digits with two separators between two.
_BEFORE_LABEL = 48


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
        self._words = CueGate(words)
        self._cued = ShapeGate({slot: found for slot, found in cued.items() if found})
        self._cued_unshaped = frozenset(slot for slot, found in cued.items() if not found)
        self._labelled = ShapeGate(labelled)
        self._cued_slots, self._labelled_slots = frozenset(cued), frozenset(labelled)

    def scan(self, text: str, start: int, found: list[Match]) -> None:
        """Append the accepted matches that begin at `start` or later."""
        span = _digits_span(text, start) if self._recognizers else None
        if span is None:
            return
        scan = _Scan(text, found, [start] * len(self._recognizers))
        # Entering a group in its middle is no loss: a place is judged by what is around it.
        for stretch in _STRETCH.finditer(text, *span):
            low, high = stretch.span()
            for at, slots in self._shapes.places(text, low, high + DEEPEST):
                for slot in slots:
                    self._try(slot, at, scan)
            for slot in self._unshaped:
                for place in _PLACE.finditer(text, max(start, low - _LONGEST_LEAD), high):
                    self._try(slot, place.start(), scan)
            if (number := _NUMBER.search(text, low, high)) is not None:
                self._beside_words(scan, number.start(), high)

    def _beside_words(self, scan: _Scan, low: int, high: int) -> None:
        """Try what needs a word before or after a number that begins in `text[low:high]`."""
        begin = max(0, low - CONTEXT_CHARS - _LONGEST_LEAD)
        words = self._words.found_in(folded(scan.text[begin : high + _LONGEST_LABEL]))
        if not words:
            return
        cued = self._cued_slots
        cues = [(begin + end, slots) for _, end, slots in words if not cued.isdisjoint(slots)]
        if cues:
            self._after_cues(scan, cues, high)
        for start, _, slots in words:
            if not self._labelled_slots.isdisjoint(slots):
                self._before_label(scan, begin + start, slots)

    def _before_label(self, scan: _Scan, label: int, slots: frozenset[int]) -> None:
        """Try what has the label that begins there behind it."""
        low = max(0, label - _BEFORE_LABEL)
        for at, fitting in self._labelled.places(scan.text, low, label):
            for slot in slots.intersection(fitting):
                self._try(slot, at, scan)

    def _after_cues(self, scan: _Scan, cues: Sequence[_Cue], high: int) -> None:
        """Try what has a context word before it.

        Args:
            cues: where one ends and whose it is, from left to right.
            high: no match begins with a digit at or after it.
        """
        text, ends = scan.text, [end for end, _ in cues]

        def open_at(at: int) -> frozenset[int]:
            near = cues[bisect_left(ends, at - CONTEXT_CHARS) : bisect_right(ends, at)]
            return frozenset().union(*(slots for _, slots in near))

        for first, last in _reaches(ends):
            for at, fitting in self._cued.places(text, first, min(last, high) + DEEPEST):
                for slot in open_at(at).intersection(fitting):
                    self._try(slot, at, scan)
            if any(not self._cued_unshaped.isdisjoint(slots) for _, slots in cues):
                for place in _PLACE.finditer(text, first, last):
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


def _digits_span(text: str, start: int) -> tuple[int, int] | None:
    """From the first digit at or after `start` to the last; None without one.

    `str.find` is ten times as quick per character as `re` is on its way to a digit, but there are
    ten digits to look for.
    """
    if len(text) - start < _SHORT:
        hit = _DIGIT.search(text, start)
        return (hit.start(), len(text)) if hit is not None else None
    firsts = {digit: text.find(digit, start) for digit in "0123456789"}
    standing = [digit for digit, at in firsts.items() if at >= 0]
    if not standing:
        return None
    return min(firsts[digit] for digit in standing), 1 + max(map(text.rfind, standing))


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
