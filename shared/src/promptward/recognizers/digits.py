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
from promptward.recognizers.model import CONTEXT_CHARS, NOT_WORD, Digits, Match, new_match
from promptward.recognizers.partial import head_source
from promptward.recognizers.shapes import ShapeGate, shapes
from promptward.recognizers.syntax import Alternation, Node, chars_source, first_chars, parse

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


_Beginnings = Callable[[str, int, int], Iterator[re.Match[str]]]
_Unshaped = tuple[int, _Beginnings]  # bit of a recognizer; what finds where its matches may begin


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
        self._unshaped: list[_Unshaped] = []
        self._cued_unshaped: list[_Unshaped] = []
        for slot, (compiled, minimum) in enumerate(recognizers):
            spec, bit = compiled.spec, 1 << slot
            if not compiled.starts_words:
                raise ValueError(f"{spec.id}: no word character may come directly before a number")
            worded = bool(spec.context or spec.denial)
            number = _Number(slot, bit, compiled, minimum, compiled.exact.match, worded)
            self._numbers.append(number)
            found, beginnings = _shapes(spec.pattern)
            kind, rest = shaped, self._unshaped
            if _is_cued(number):
                kind, rest = cued, self._cued_unshaped
            elif _labels(number):
                kind = labelled
            kind[bit] = found
            if beginnings is not None:
                rest.append((bit, beginnings))
        self._shapes, self._cued = ShapeGate(shaped), ShapeGate(cued)
        self._labelled = ShapeGate(labelled)
        self._cued_bits, self._labelled_bits = sum(cued), sum(labelled)
        self._words = CueGate(
            {n.bit: n.compiled.spec.context for n in self._numbers},
            {n.bit: n.compiled.spec.denial for n in self._numbers},
            {n.bit: _labels(n) for n in self._numbers},
        )
        sets = self._shapes.sets.union(bit for bit, _ in self._unshaped)
        self._sets = {bits: self._members(bits) for bits in sets}
        self._among = lru_cache(maxsize=1024)(self._members)

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
        """Try what needs no word wherever its matches may begin."""
        upcoming = iter(stretches)
        words = next(upcoming, None)
        found = self._shapes.places(chunk.outline, chunk.low, chunk.high)
        if self._unshaped:
            found += self._unshaped_places(scan.text, chunk)
            found.sort()
        for at, bits in found:
            place = chunk.base + at
            while words is not None and words.last < place:
                words = next(upcoming, None)
            known = words is not None and words.first <= place
            self._try(self._sets[bits], place, scan, words if known else None)

    def _unshaped_places(self, text: str, chunk: Chunk) -> Iterator[tuple[int, int]]:
        """Where what has no shapes may begin, as `ShapeGate.places` says it."""
        for low, high in stretches_of(DIGIT, chunk):
            begin, end = max(0, chunk.base + low - _LONGEST_LEAD), chunk.base + high
            for bit, beginnings in self._unshaped:
                for hit in beginnings(text, begin, end):
                    yield hit.start() - chunk.base, bit

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
            self._try(self._among(bits & labelled), chunk.base + at, scan)

    def _after_cues(
        self, scan: _Scan, chunk: Chunk, words: Surroundings, cued: Sequence[FoundCue]
    ) -> None:
        """Try what has a context word before it.

        Args:
            cued: such words, by where they end.
        """
        base, text = chunk.base, scan.text
        helped = reduce(or_, (helps for _, _, helps, _, _ in cued))
        unshaped = [item for item in self._cued_unshaped if item[0] & helped]
        until = helps = denies = 0
        for first, last in _reaches([end for _, end, _, _, _ in cued]):
            end = min(last, words.last + 1)
            low, high = max(chunk.low, first - base), min(end - base, chunk.high)
            found = self._cued.places(chunk.outline, low, high)
            for bit, beginnings in unshaped:
                found += [(hit.start() - base, bit) for hit in beginnings(text, first, end)]
                found.sort()
            for at, bits in found:
                place = base + at
                if place >= until:
                    helps, denies, until = words.before(place)
                if bits & helps:
                    self._try(self._among(bits & helps), place, scan, words, (helps, denies))

    def _try(
        self,
        numbers: Sequence[_Number],
        at: int,
        scan: _Scan,
        words: Surroundings | None = None,
        said: tuple[int, int] | None = None,
    ) -> None:
        """Try recognizers at one place, unless it is before where they go on.

        Args:
            words: around the place, if they have been read.
            said: what they say of it: bits of what they help and veto.
        """
        text, resume = scan.text, scan.resume
        for slot, bit, compiled, minimum, match, worded in numbers:
            if at < resume[slot] or (hit := match(text, at)) is None:
                continue
            helped = False
            if worded:
                if words is None:
                    words = self._words.around(text, at, at)
                if said is None:
                    said = words.before(at)[:2]
                helped = said[0] & bit != 0
                if said[1] & bit and not (helped and not words.is_denied(at, bit)):
                    continue
            end = hit.end()
            score = compiled.unvetoed(text, at, end, minimum, helped=helped)
            if score > 0.0:
                scan.found.append(new_match(Match, (compiled.entity, at, end, score, compiled.id)))
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


@lru_cache(maxsize=1024)
def _shapes(pattern: str) -> tuple[frozenset[str], _Beginnings | None]:
    """The shapes of a pattern, and what finds the beginnings of the matches that have none."""
    node = parse(pattern)
    try:
        return shapes(node), None
    except ValueError:
        pass
    found: frozenset[str] = frozenset()
    rest: list[Node] = []
    for option in node.options if isinstance(node, Alternation) else (node,):
        try:
            found |= shapes(option)
        except ValueError:
            rest.append(option)
    return found, _beginnings(Alternation(tuple(rest)))


def _beginnings(node: Node) -> _Beginnings:
    """What finds every place where a match may begin."""
    first, head = chars_source(first_chars(node)), head_source(node)
    return re.compile(f"{first}(?<!{NOT_WORD}.)(?<=(?={head}).)", re.DOTALL).finditer
