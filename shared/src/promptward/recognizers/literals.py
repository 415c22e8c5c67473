"""Recognizers with a literal anchor: the text is searched for the literal first.

A literal is found by its rarest character, which `re` looks for about as fast as memory can be
read, and by what stands around it; several share a character ("-" of `sk-`, `glpat-`, `xapp-`).

Invariant: every match of a recognizer begins at one of the places tried here, so the matches are
those of trying the pattern everywhere (property-tested).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from promptward.recognizers.compiled import CompiledRecognizer
from promptward.recognizers.cue_words import folded
from promptward.recognizers.model import Literals, Match
from promptward.recognizers.partial import prefix_source
from promptward.recognizers.syntax import Chars, parse, to_source

# Characters of running text, the most frequent first (English letter frequencies, Norvig 2012;
# the rest in the order of our own benign prompts, documents and code).
_FREQUENCY = " etaoinshrldcumfpgwybvk.,ITSA0123456789-CMPHBWRDNLEFGOUVYKJ:/_jxqzXQZ@="


class _Pivot(NamedTuple):
    """A literal, looked for by one of its characters.

    Attributes:
        item: index of the recognizer.
        offset: of the character in the literal.
        accept: matches the literal between what has to stand around it.
    """

    item: int
    literal: str
    offset: int
    accept: re.Pattern[str]


class _Pivots:
    """Literals that are looked for by the same character."""

    __slots__ = ("_gate", "_pivots", "items")

    def __init__(self, char: str, pivots: Sequence[tuple[_Pivot, Literals, bool]]) -> None:
        self._pivots = [pivot for pivot, _, _ in pivots]
        self.items = frozenset(pivot.item for pivot in self._pivots)
        # Most often the character stands for itself: `re` is quicker to see that than Python.
        self._gate = re.compile(f"{re.escape(char)}(?={'|'.join(_around(pivots))})")

    def find(self, text: str, places: dict[int, list[int]]) -> None:
        """Note where the literals stand."""
        for hit in self._gate.finditer(text):
            at = hit.start()
            for item, _, offset, accept in self._pivots:
                begin = at - offset
                if begin >= 0 and accept.match(text, begin) is not None:
                    places.setdefault(item, []).append(begin)


def _around(pivots: Sequence[tuple[_Pivot, Literals, bool]]) -> Iterator[str]:
    """Patterns behind a pivot's character, of which one holds wherever a literal stands.

    Literals of one length up to the character share a look behind it.
    """
    behind: dict[tuple[int, bool], dict[str, None]] = {}
    for pivot, anchor, word in pivots:
        before, literal = pivot.literal[: pivot.offset + 1], pivot.literal
        if anchor.before or anchor.after or not pivot.offset:
            limits = "(?<![0-9A-Za-z_])" if word else ""
            limits += to_source(parse(anchor.before))
            after = re.escape(literal[pivot.offset + 1 :]) + _after(anchor)
            yield f"(?<={limits}{re.escape(before)}){after}"
        else:
            behind.setdefault((pivot.offset, word), {})[re.escape(before)] = None
    for (_, word), befores in behind.items():
        yield f"(?<={'(?<![0-9A-Za-z_])' if word else ''}(?:{'|'.join(befores)}))"


def _after(anchor: Literals) -> str:
    """What follows the literal, or as much of it as there is before the text's end."""
    if not anchor.after:
        return ""
    node = parse(anchor.after)
    return f"(?:{to_source(node)}|(?:{prefix_source(node)})\\Z)"


def _accept(literal: str, anchor: Literals, word: bool) -> re.Pattern[str]:
    limits = "(?<![0-9A-Za-z_])" if word else ""
    limits += f"(?<={to_source(parse(anchor.before))})" if anchor.before else ""
    return re.compile(limits + re.escape(literal) + _after(anchor))


class LiteralScanner:
    """Recognizers with a `Literals` anchor.

    Args:
        recognizers: with the least score that counts for each.
    """

    def __init__(self, recognizers: Sequence[tuple[CompiledRecognizer, float]]) -> None:
        self._items = [_LiteralItem(compiled, minimum) for compiled, minimum in recognizers]
        exact: dict[str, list[tuple[_Pivot, Literals, bool]]] = {}
        fold: dict[str, list[tuple[_Pivot, Literals, bool]]] = {}
        for index, item in enumerate(self._items):
            anchor, word = item.anchor, item.begins and item.starts_words
            for literal in anchor.values:
                char = max(literal, key=_rarity)
                accept = _accept(literal, anchor, word)
                pivot = _Pivot(index, literal, literal.index(char), accept)
                by_char = fold if anchor.fold else exact
                by_char.setdefault(char, []).append((pivot, anchor, word))
        self._exact = {char: _Pivots(char, pivots) for char, pivots in exact.items()}
        self._folded = {char: _Pivots(char, pivots) for char, pivots in fold.items()}
        self._folding = frozenset().union(*(p.items for p in self._folded.values()))

    def scan(
        self, text: str, start: int, found: list[Match], allowed: frozenset[int] | None = None
    ) -> None:
        """Append the accepted matches that begin at `start` or later.

        Args:
            allowed: indexes of the recognizers that can match at all; None for every one.
        """
        for index, places in self._places(text, allowed).items():
            self._items[index].scan(text, start, sorted(places), found)

    def _places(self, text: str, allowed: frozenset[int] | None) -> dict[int, list[int]]:
        """Recognizer -> where its literals stand."""
        places: dict[int, list[int]] = {}
        self._find(self._exact, text, allowed, places)
        if self._folded and (allowed is None or not allowed.isdisjoint(self._folding)):
            self._find(self._folded, folded(text), allowed, places)
        return places

    @staticmethod
    def _find(
        by_char: Mapping[str, _Pivots],
        text: str,
        allowed: frozenset[int] | None,
        places: dict[int, list[int]],
    ) -> None:
        for char, pivots in by_char.items():
            if char in text and (allowed is None or not allowed.isdisjoint(pivots.items)):
                pivots.find(text, places)


def _rarity(char: str) -> int:
    place = _FREQUENCY.find(char)
    return place if place >= 0 else len(_FREQUENCY)


class _LiteralItem:
    """One recognizer and where it may match."""

    __slots__ = ("_compiled", "_lead_chars", "_minimum", "anchor", "begins", "starts_words")

    def __init__(self, compiled: CompiledRecognizer, minimum: float) -> None:
        anchor = compiled.spec.anchor
        assert isinstance(anchor, Literals)
        self._compiled = compiled
        self._minimum = minimum
        self.anchor = anchor
        self.starts_words = compiled.starts_words
        self.begins = anchor.lead == 0 and anchor.trail == 0  # a match begins with the literal
        lead = parse(anchor.lead_class) if anchor.lead_class else Chars(())
        assert isinstance(lead, Chars)
        ranges = [range(low, high + 1) for low, high in lead.ranges]
        self._lead_chars = frozenset(chr(code) for codes in ranges for code in codes)

    def scan(self, text: str, start: int, places: list[int], found: list[Match]) -> None:
        """Try every place at which a match may begin that has a literal where one stands.

        A rejected match hides nothing that begins after it.
        """
        match, trail = self._compiled.exact.match, self.anchor.trail
        at = start
        for place in places:
            at = max(at, self._lead_start(text, place))
            while at <= place + trail:
                hit = match(text, at)
                at = (hit is not None and self._accept(text, hit, found)) or at + 1

    def _lead_start(self, text: str, place: int) -> int:
        low = max(0, place - self.anchor.lead)
        if not self._lead_chars:
            return low
        at, chars = place, self._lead_chars
        while at > low and text[at - 1] in chars:
            at -= 1
        return at

    def _accept(self, text: str, hit: re.Match[str], found: list[Match]) -> int:
        """Append the match when its score counts; its end, or 0 when it was rejected."""
        compiled = self._compiled
        begin, end = hit.span()
        score = compiled.score(text, begin, end, self._minimum)
        if score <= 0.0:
            return 0
        found.append(Match(compiled.entity, begin, end, score, compiled.id))
        return end
