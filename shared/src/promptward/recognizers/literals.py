"""Recognizers with a literal anchor: the text is searched for the literal first.

Invariant: every match of a recognizer, and everything its pattern may look at beyond it, lies
inside one of the windows computed here, so the matches are those of trying the pattern everywhere
(property-tested).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from promptward.recognizers.compiled import CompiledRecognizer
from promptward.recognizers.model import Literals, Match
from promptward.recognizers.syntax import parse, to_source

Window = tuple[int, int]


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
        self._folds = any(item.anchor.fold for item in self._items)

    def scan(self, text: str, start: int, found: list[Match]) -> None:
        """Append the accepted matches that begin at `start` or later."""
        underscore = "_" in text
        lowered = folded(text) if self._folds else text
        for item in self._items:
            # Half of all key prefixes have an underscore and most texts have none.
            if item.underscored and not underscore:
                continue
            places = item.places(lowered if item.anchor.fold else text)
            if not places:
                continue
            if item.prefix:
                item.scan_places(text, start, places, found)
            else:
                item.scan_windows(text, start, item.windows(text, places), found)


class _LiteralItem:
    """One recognizer and where it may match."""

    __slots__ = ("_back", "_compiled", "_minimum", "anchor", "prefix", "underscored")

    def __init__(self, compiled: CompiledRecognizer, minimum: float) -> None:
        anchor = compiled.spec.anchor
        assert isinstance(anchor, Literals)
        self._compiled = compiled
        self._minimum = minimum
        self.anchor = anchor
        self.prefix = anchor.lead == 0 and anchor.trail == 0
        self.underscored = all("_" in value for value in anchor.values)
        lead = anchor.lead_class
        self._back = re.compile(to_source(parse(lead))) if lead else None

    def places(self, text: str) -> list[int]:
        """Where the literals stand between fitting neighbours, sorted."""
        anchor = self.anchor
        places: list[int] = []
        for value in anchor.values:
            at = text.find(value)
            while at >= 0:
                if self._fits(text, at, at + len(value)):
                    places.append(at)
                at = text.find(value, at + 1)
        if len(anchor.values) > 1:
            places.sort()
        return places

    def _fits(self, text: str, start: int, end: int) -> bool:
        anchor = self.anchor
        if anchor.before and (start == 0 or text[start - 1] not in anchor.before):
            return False
        return not anchor.after or (end < len(text) and text[end] in anchor.after)

    def windows(self, text: str, places: list[int]) -> list[Window]:
        """Sorted, disjoint stretches that hold every match."""
        anchor = self.anchor
        past = anchor.trail + self._compiled.reach + 1
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
        score = compiled.score(text, begin, end)
        if score < self._minimum or score <= 0.0:
            return 0
        found.append(Match(compiled.entity, begin, end, score, compiled.id))
        return end
