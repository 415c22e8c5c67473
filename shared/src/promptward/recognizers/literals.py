"""Recognizers with a literal anchor: the text is searched for the literal first.

A literal is found by its rarest character, which `re` looks for about as fast as memory can be
read, and by what stands around it; several share a character ("-" of `sk-`, `glpat-`, `xapp-`).

Invariant: every match of a recognizer begins at one of the places tried here, so the matches are
those of trying the pattern everywhere (property-tested).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from promptward.recognizers.compiled import WORD_CHARS, CompiledRecognizer
from promptward.recognizers.cue_words import folded
from promptward.recognizers.model import NOT_WORD, Literals, Match, new_match
from promptward.recognizers.runs import LEVELS, guaranteed_run, longest_run
from promptward.recognizers.syntax import (
    Chars,
    chars_source,
    first_chars,
    merge,
    parse,
    reverse,
    to_source,
)

# Characters of running text, the most frequent first (English letter frequencies, Norvig 2012;
# the rest in the order of our own benign prompts, documents and code).
_FREQUENCY = " etaoinshrldcumfpgwybvk.,ITSA0123456789-CMPHBWRDNLEFGOUVYKJ:/_jxqzXQZ@="


_ANYTHING = "(?=)"  # a look that holds everywhere


class _Pivot(NamedTuple):
    """A literal, looked for by one of its characters.

    Attributes:
        item: index of the recognizer.
        literal: see `Literals.values`.
        offset: of the character in the literal.
        around: matches the literal between what has to stand around it; None for nothing.
    """

    item: int
    literal: str
    offset: int
    around: re.Pattern[str] | None


class _Pivots:
    """Literals that are looked for by the same character."""

    __slots__ = ("_by_offset", "_char", "_search", "items", "run")

    def __init__(self, char: str, pivots: Sequence[tuple[_Pivot, _LiteralItem]]) -> None:
        self.items = frozenset(pivot.item for pivot, _ in pivots)
        self.run = min(item.run for _, item in pivots)
        tables: dict[int, dict[str, list[_Pivot]]] = {}
        for pivot, _ in pivots:
            key = pivot.literal[: pivot.offset + 1]
            tables.setdefault(pivot.offset, {}).setdefault(key, []).append(pivot)
        self._by_offset = tuple(tables.items())
        self._char = char
        self._search: Callable[[str, int], re.Match[str] | None] | None = None
        options = tuple(_looks(pivots))
        if options != (_ANYTHING,):
            # Most often the character stands for itself: `re` is quicker to see that than Python.
            source = re.escape(char) + (_look_before(char, pivots) if len(options) > 1 else "")
            gate = re.compile(f"{source}(?:{'|'.join(options)})", re.ASCII | re.DOTALL)
            self._search = gate.search

    def find(self, text: str, places: dict[int, list[int]]) -> None:
        """Note where the literals stand."""
        search = self._search
        if search is None:
            at = text.find(self._char)
            while at >= 0:
                self._note(text, at, places)
                at = text.find(self._char, at + 1)
            return
        hit = search(text, 0)  # (most often there is none: an iterator costs more than one search)
        while hit is not None:
            at = hit.start()
            self._note(text, at, places)
            hit = search(text, at + 1)

    def _note(self, text: str, at: int, places: dict[int, list[int]]) -> None:
        """Note the literals whose character stands there."""
        for offset, table in self._by_offset:
            begin = at - offset
            for item, literal, _, around in table.get(text[max(0, begin) : at + 1], ()):
                if text.startswith(literal, begin) and (
                    around is None or around.match(text, begin) is not None
                ):
                    places.setdefault(item, []).append(begin)


def _look_before(char: str, pivots: Sequence[tuple[_Pivot, _LiteralItem]]) -> str:
    """A quick look at the one character before the pivot, where something is known of it."""
    known: list[tuple[int, int]] = []
    anything_but_words = False
    for pivot, item in pivots:
        if pivot.offset:
            code = ord(pivot.literal[pivot.offset - 1])
            known.append((code, code))
        elif item.anchor.before:
            known += first_chars(reverse(parse(item.anchor.before)))
        elif item.begins_words:
            anything_but_words = True
        else:
            return ""
    ranges = merge(known)
    if not anything_but_words:
        return f"(?<={chars_source(ranges)}{re.escape(char)})"
    words = {c for c in WORD_CHARS if not any(low <= ord(c) <= high for low, high in ranges)}
    return f"(?<![{''.join(sorted(words))}]{re.escape(char)})"


def _looks(pivots: Sequence[tuple[_Pivot, _LiteralItem]]) -> Iterator[str]:
    """Patterns behind a pivot's character, of which one holds wherever a literal stands.

    Literals of one length up to the character share a look behind it.
    """
    alike: dict[tuple[int, bool], dict[str, None]] = {}
    for (_, literal, offset, around), item in pivots:
        before, rest = re.escape(literal[: offset + 1]), re.escape(literal[offset + 1 :])
        limit = f"(?<!{NOT_WORD}{before})" if item.begins_words else ""
        if around is None and offset:
            alike.setdefault((offset, item.begins_words), {})[before] = None
            continue
        anchor = item.anchor
        if offset or anchor.before:
            limit = f"(?<={to_source(parse(anchor.before))}{before})" + limit
        yield f"{limit}(?={rest}{to_source(parse(anchor.after))})"
    for (offset, word), befores in alike.items():
        limit = f"(?<!{NOT_WORD}{'.' * (offset + 1)})" if word else ""
        yield f"(?<={'|'.join(befores)}){limit}"


def _around(literal: str, anchor: Literals) -> re.Pattern[str] | None:
    if not anchor.before and not anchor.after:
        return None
    before = f"(?<={to_source(parse(anchor.before))})" if anchor.before else ""
    return re.compile(before + re.escape(literal) + to_source(parse(anchor.after)), re.ASCII)


class LiteralScanner:
    """Recognizers with a `Literals` anchor.

    Args:
        recognizers: with the least score that counts for each.
    """

    def __init__(self, recognizers: Sequence[tuple[CompiledRecognizer, float]]) -> None:
        self._items = [_LiteralItem(compiled, minimum) for compiled, minimum in recognizers]
        exact: dict[str, list[tuple[_Pivot, _LiteralItem]]] = {}
        fold: dict[str, list[tuple[_Pivot, _LiteralItem]]] = {}
        for index, item in enumerate(self._items):
            for literal in item.anchor.values:
                char = max(literal, key=_rarity)
                around = _around(literal, item.anchor)
                pivot = _Pivot(index, literal, literal.index(char), around)
                by_char = fold if item.anchor.fold else exact
                by_char.setdefault(char, []).append((pivot, item))
        self._exact, self._folded = _by_run(exact), _by_run(fold)
        self._folding = frozenset().union(*(p.items for _, p in self._folded[LEVELS[-1]]))

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
        run = longest_run(text) if allowed is None else LEVELS[-1]
        for char, pivots in self._exact[run]:
            if char in text and (allowed is None or not allowed.isdisjoint(pivots.items)):
                pivots.find(text, places)
        if allowed is None or not allowed.isdisjoint(self._folding):
            lowered = folded(text)
            for char, pivots in self._folded[run]:
                if char in lowered and (allowed is None or not allowed.isdisjoint(pivots.items)):
                    pivots.find(lowered, places)
        return places


_ByChar = Mapping[str, Sequence[tuple[_Pivot, "_LiteralItem"]]]


def _by_run(by_char: _ByChar) -> Mapping[int, list[tuple[str, _Pivots]]]:
    """Longest run of a text -> the pivots to look for in it, by their character."""
    made = [(char, _Pivots(char, pivots)) for char, pivots in by_char.items()]
    return {level: [item for item in made if item[1].run <= level] for level in (0, *LEVELS)}


def _rarity(char: str) -> int:
    place = _FREQUENCY.find(char)
    return place if place >= 0 else len(_FREQUENCY)


class _LiteralItem:
    """One recognizer and where it may match."""

    __slots__ = ("_compiled", "_lead_chars", "_minimum", "_starts", "anchor", "begins_words", "run")

    def __init__(self, compiled: CompiledRecognizer, minimum: float) -> None:
        anchor = compiled.spec.anchor
        assert isinstance(anchor, Literals)
        self._compiled = compiled
        self._minimum = minimum
        self.anchor = anchor
        # (a match that begins with the literal lets no word character before it)
        self.begins_words = compiled.starts_words and anchor.lead == anchor.trail == 0
        run = guaranteed_run(parse(compiled.spec.pattern))
        self.run = max((level for level in LEVELS if level <= run), default=0)
        lead = parse(anchor.lead_class) if anchor.lead_class else Chars(())
        assert isinstance(lead, Chars)
        ranges = [range(low, high + 1) for low, high in lead.ranges]
        self._lead_chars = frozenset(chr(code) for codes in ranges for code in codes)
        before = f"(?<!{to_source(parse(compiled.spec.not_before))})"
        first = chars_source(compiled.first)
        source = before + first if compiled.spec.not_before else first
        self._starts = re.compile(source, re.ASCII) if anchor.trail else None

    def scan(self, text: str, start: int, places: list[int], found: list[Match]) -> None:
        """Try every place at which a match may begin that has a literal where one stands.

        A rejected match hides nothing that begins after it.
        """
        match, starts = self._compiled.exact.match, self._starts
        at = start
        for place in places:
            at = max(at, self._lead_start(text, place))
            last = place + self.anchor.trail
            while at <= last:
                if starts is not None:
                    begin = starts.search(text, at, last + 1)
                    if begin is None:
                        break
                    at = begin.start()
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
        found.append(new_match(Match, (compiled.entity, begin, end, score, compiled.id)))
        return end
