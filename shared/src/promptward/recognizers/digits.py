"""All recognizers of numbers over one shared scan of digit runs.

A text is scanned once for runs of digits with short separators. Around each run only the places
where a word, `+` or `(` begins can begin a match, and only recognizers are tried there that fit
the digits left in the run and, if they need a context word, have one nearby.

Invariants: the same matches as trying every pattern everywhere (property-tested); what is decided
about a place depends only on the text from it on and on `CONTEXT_CHARS` before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from promptward.recognizers.compiled import CompiledRecognizer
from promptward.recognizers.cue_words import CueGate
from promptward.recognizers.model import CONTEXT_CHARS, Digits, Match

# Digits with at most three separators between two of them; four digits is the least any
# recognizer asks for. Separators: those of phone numbers (RFC 3966 visual separators, space, "/").
_RUN = re.compile("[0-9](?:[ .\\-/()\xa0]{0,3}[0-9]){3,}")
_GROUP = re.compile("[0-9]+")
_PLACE = re.compile("[0-9A-Za-z_]+|[+(]")
_MOST_LOOKED_AT = 40  # digits; more make no difference to any recognizer's gate


class _Item(NamedTuple):
    compiled: CompiledRecognizer
    anchor: Digits
    minimum: float
    cued: bool  # cannot count without a context word
    first: frozenset[str]


class DigitScanner:
    """Recognizers with a `Digits` anchor, run together.

    Args:
        recognizers: with the least score that counts for each.
    """

    def __init__(self, recognizers: Sequence[tuple[CompiledRecognizer, float]]) -> None:
        self._items = [_item(compiled, minimum) for compiled, minimum in recognizers]
        self._least = min((item.anchor.least for item in self._items), default=0)
        self._lead = max((item.anchor.lead for item in self._items), default=0)
        cued = {i: item.compiled.spec.context for i, item in enumerate(self._items) if item.cued}
        self._cued_lead = max((self._items[i].anchor.lead for i in cued), default=0)
        self._cued = bool(cued)
        self._gate: CueGate[int] = CueGate(cued)
        self._always = frozenset(i for i in range(len(self._items)) if i not in cued)
        # (digits left, unbroken, first character) -> candidates; filled as texts need it.
        self._fitting: dict[tuple[int, bool, str], tuple[int, ...]] = {}

    def scan(self, text: str, start: int, found: list[Match]) -> None:
        """Append the accepted matches that begin at `start` or later."""
        if not self._items:
            return
        resume = [start] * len(self._items)
        for run in _RUN.finditer(text, max(0, start - self._lead)):
            digits = run.group()
            count, unbroken = len(digits), True
            if not digits.isdigit():
                unbroken = False
                count = sum(map(len, _GROUP.findall(digits)))
            if count >= self._least:
                self._around(text, run.span(), count, unbroken, resume, found)

    def _around(
        self,
        text: str,
        run: tuple[int, int],
        count: int,
        unbroken: bool,
        resume: list[int],
        found: list[Match],
    ) -> None:
        """Try everything that fits at every place around one run."""
        begin, end = run
        allowed = self._always
        stretch = text[max(0, begin - self._cued_lead - CONTEXT_CHARS) : begin]
        if self._cued and stretch:
            allowed |= self._gate.open_for(stretch)
        # A run that `search` entered in its middle is as good as its beginning: what is decided
        # about a place looks at the run from that place on.
        for place in _PLACE.finditer(text, max(0, begin - self._lead), end):
            at, after = place.span()
            left = count
            if at >= begin and text[at] not in "+(":
                count -= after - at
            for index in self._candidates(min(left, _MOST_LOOKED_AT), unbroken, text[at]):
                if index in allowed and at >= resume[index]:
                    resume[index] = self._try(index, text, at, begin, found)

    def _candidates(self, digits: int, unbroken: bool, char: str) -> tuple[int, ...]:
        key = (digits, unbroken, char)
        known = self._fitting.get(key)
        if known is None:
            known = tuple(
                index
                for index, item in enumerate(self._items)
                if item.anchor.least <= digits
                and not (unbroken and digits > item.anchor.most)
                and char in item.first
            )
            self._fitting[key] = known
        return known

    def _try(self, index: int, text: str, at: int, run: int, found: list[Match]) -> int:
        """Try one recognizer at one place; where it may be tried again."""
        compiled, anchor, minimum, _, _ = self._items[index]
        if run - at > anchor.lead or (anchor.dots and text.count(".", at, at + 16) < anchor.dots):
            return at
        hit = compiled.exact.match(text, at)
        if hit is not None:
            score = compiled.score(text, at, hit.end())
            if score >= minimum and score > 0.0:
                found.append(Match(compiled.entity, at, hit.end(), score, compiled.id))
                return hit.end()
        return at


def _item(compiled: CompiledRecognizer, minimum: float) -> _Item:
    spec = compiled.spec
    anchor = spec.anchor
    assert isinstance(anchor, Digits)
    first = frozenset(
        chr(code) for low, high in compiled.first for code in range(low, min(high, 0x7F) + 1)
    )
    if not first <= frozenset("0123456789+(_") | {c for c in map(chr, range(128)) if c.isalpha()}:
        raise ValueError(f"{spec.id}: a number begins with a letter, a digit, '+' or '('")
    cued = bool(spec.context) and spec.score < minimum
    if cued and anchor.lead > 32:
        raise ValueError(f"{spec.id}: a recognizer that needs context has a short lead")
    return _Item(compiled, anchor, minimum, cued, first)
