"""Recognizers with a literal anchor: the text is searched for the literal first.

Most literals are found by their rarest character, which `str.find` looks for about ten times as
fast as for a string; several literals share one character ("-" of `sk-`, `glpat-` and `xapp-`).

Invariant: every match of a recognizer, and everything its pattern may look at beyond it, lies
inside one of the windows computed here, so the matches are those of trying the pattern everywhere
(property-tested).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from promptward.recognizers.compiled import WORD_CHARS, CompiledRecognizer
from promptward.recognizers.model import Literals, Match
from promptward.recognizers.syntax import parse, to_source

Window = tuple[int, int]

# Characters of running text, the most frequent first (English letter frequencies, Norvig 2012;
# the rest in the order of our own benign prompts, documents and code).
_COMMON = " etaoinshrldcumfpgwybv"
_FREQUENCY = _COMMON + "k.,ITSA0123456789-CMPHBWRDNLEFGOUVYKJ:/_jxqzXQZ@="


class _Pivot(NamedTuple):
    """A literal, looked for by one of its characters.

    Attributes:
        item: the recognizer.
        offset: of the character in the literal.
        word: whether no word character may come before the literal.
        before, after: see `Literals`.
    """

    item: int
    literal: str
    offset: int
    word: bool
    before: str
    after: str


class _Place(NamedTuple):
    """What may stand around one character: literals by their character before it or after it."""

    before: dict[str, list[_Pivot]]
    after: dict[str, list[_Pivot]]
    alone: list[_Pivot]

    def add(self, pivot: _Pivot) -> None:
        if pivot.offset:
            self.before.setdefault(pivot.literal[pivot.offset - 1], []).append(pivot)
        elif len(pivot.literal) > 1:
            self.after.setdefault(pivot.literal[1], []).append(pivot)
        else:
            self.alone.append(pivot)


def folded(text: str) -> str:
    """`text` in lower case, with every character in its place."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    # Only U+0130 becomes longer; it is no part of any literal.
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


class LiteralScanner:
    """Recognizers with a `Literals` anchor.

    Args:
        recognizers: with the least score that counts for each.
    """

    def __init__(self, recognizers: Sequence[tuple[CompiledRecognizer, float]]) -> None:
        self._items = [_LiteralItem(compiled, minimum) for compiled, minimum in recognizers]
        self._pivots: dict[str, _Place] = {}
        self._whole: list[_Pivot] = []
        self._folded: list[_Pivot] = []
        for index, item in enumerate(self._items):
            for literal in item.anchor.values:
                char = max(literal, key=_rarity)
                anchor, at = item.anchor, literal.index(char)
                word = item.prefix and item.starts_words
                pivot = _Pivot(index, literal, at, word, anchor.before, anchor.after)
                if item.anchor.fold:
                    self._folded.append(pivot)
                elif char in _COMMON:
                    self._whole.append(pivot)
                else:
                    self._pivots.setdefault(char, _Place({}, {}, [])).add(pivot)

    def scan(self, text: str, start: int, found: list[Match]) -> None:
        """Append the accepted matches that begin at `start` or later."""
        for index, places in self._places(text).items():
            item = self._items[index]
            if item.prefix:
                item.scan_places(text, start, sorted(places), found)
            else:
                item.scan_windows(text, start, item.windows(text, sorted(places)), found)

    def _places(self, text: str) -> dict[int, list[int]]:
        """Recognizer -> where its literals stand between fitting neighbours."""
        places: dict[int, list[int]] = {}
        find, size = text.find, len(text)
        for char, (before, after, alone) in self._pivots.items():
            at = find(char)
            while at >= 0:
                if before and at and (pivots := before.get(text[at - 1])):
                    self._check(text, at, pivots, places)
                if after and at + 1 < size and (pivots := after.get(text[at + 1])):
                    self._check(text, at, pivots, places)
                if alone:
                    self._check(text, at, alone, places)
                at = find(char, at + 1)
        for pivot in self._whole:
            self._find(text, text, pivot, places)
        if self._folded:
            lowered = folded(text)
            for pivot in self._folded:  # (a folded literal takes any neighbours)
                self._find(text, lowered, pivot, places)
        return places

    @staticmethod
    def _check(text: str, at: int, pivots: Sequence[_Pivot], places: dict[int, list[int]]) -> None:
        """Note the literals that stand at `at` with their character, between fitting neighbours."""
        for index, literal, offset, word, before, after in pivots:
            begin = at - offset
            if begin < 0 or (len(literal) > 1 and not text.startswith(literal, begin)):
                continue
            if (word or before) and begin:
                char = text[begin - 1]
                if (word and char in WORD_CHARS) or (before and char not in before):
                    continue
            elif before:
                continue
            end = begin + len(literal)
            if not after or (end < len(text) and text[end] in after):
                places.setdefault(index, []).append(begin)

    def _find(self, text: str, searched: str, pivot: _Pivot, places: dict[int, list[int]]) -> None:
        at = searched.find(pivot.literal)
        while at >= 0:
            if text is searched:
                self._check(text, at + pivot.offset, (pivot,), places)
            else:
                places.setdefault(pivot.item, []).append(at)
            at = searched.find(pivot.literal, at + 1)


def _rarity(char: str) -> int:
    place = _FREQUENCY.find(char)
    return place if place >= 0 else len(_FREQUENCY)


class _LiteralItem:
    """One recognizer and where it may match."""

    __slots__ = ("_back", "_compiled", "_minimum", "anchor", "prefix", "starts_words")

    def __init__(self, compiled: CompiledRecognizer, minimum: float) -> None:
        anchor = compiled.spec.anchor
        assert isinstance(anchor, Literals)
        self._compiled = compiled
        self._minimum = minimum
        self.anchor = anchor
        self.starts_words = compiled.starts_words
        self.prefix = anchor.lead == 0 and anchor.trail == 0
        lead = anchor.lead_class
        self._back = re.compile(to_source(parse(lead))) if lead else None

    def windows(self, text: str, places: list[int]) -> list[Window]:
        """Sorted, disjoint stretches that hold every match."""
        past = self.anchor.trail + self._compiled.reach + 1
        windows: list[Window] = []
        for place in places:
            start, end = self._lead_start(text, place), place + past
            if windows and start <= windows[-1][1]:
                windows[-1] = (min(start, windows[-1][0]), max(windows[-1][1], end))
            else:
                windows.append((start, end))
        return windows

    def _lead_start(self, text: str, place: int) -> int:
        low = max(0, place - self.anchor.lead)
        if self._back is None:
            return low
        at = place
        while at > low and self._back.match(text, at - 1) is not None:
            at -= 1
        return at

    def scan_places(self, text: str, start: int, places: list[int], found: list[Match]) -> None:
        """The literal is the match's beginning: try there and nowhere else."""
        match = self._compiled.exact.match
        resume = start
        for place in places:
            if place >= resume and (hit := match(text, place)) is not None:
                resume = self._accept(text, hit, found) or resume

    def scan_windows(
        self, text: str, start: int, windows: list[Window], found: list[Match]
    ) -> None:
        """Search inside the windows; a rejected match hides nothing that begins after it."""
        search = self._compiled.exact.search
        past = self._compiled.reach - self._compiled.max_length
        at = start
        for low, high in windows:
            at = max(at, low)
            inside = high < len(text)
            while (hit := search(text, at, high)) is not None:
                # The window's end is not the text's: what touches it was seen incompletely and,
                # by the windows' invariant, is not a match.
                if inside and hit.end() + past > high:
                    at = hit.start() + 1
                else:
                    at = self._accept(text, hit, found) or hit.start() + 1

    def _accept(self, text: str, hit: re.Match[str], found: list[Match]) -> int:
        """Append the match when its score counts; its end, or 0 when it was rejected."""
        compiled = self._compiled
        begin, end = hit.span()
        score = compiled.score(text, begin, end, self._minimum)
        if score <= 0.0:
            return 0
        found.append(Match(compiled.entity, begin, end, score, compiled.id))
        return end
