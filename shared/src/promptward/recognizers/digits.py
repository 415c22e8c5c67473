"""All recognizers of numbers over one shared scan of digit groups.

A text is scanned once for groups of digits, and groups with short separators between them are
runs. Around each run only the places where a word, `+` or `(` begins can begin a match, and only
recognizers are tried there that fit the digits left in the run and the first group of digits, and,
if they need a context word, have one nearby.

Invariants: the same matches as trying every pattern everywhere (property-tested); what is decided
about a place depends only on the text from it on and on `CONTEXT_CHARS` before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from promptward.recognizers.compiled import CompiledRecognizer, CueMemo
from promptward.recognizers.cue_words import CueGate
from promptward.recognizers.model import CONTEXT_CHARS, DigitGroup, Digits, Match
from promptward.recognizers.syntax import first_chars, leading_digits, parse

# Separators: those of phone numbers (RFC 3966 visual separators, space, "/").
_SEPARATORS = " .-/()\xa0"
_LONGEST_SEPARATOR = 3
# `re` skips to a class quickly; to a repeat of one it does not.
_GROUP = re.compile("[0-9][0-9]*")
_PLACE = re.compile("[0-9A-Za-z_]+|[+(]")
_DIGITS = frozenset("0123456789")
_BEGINNINGS = _DIGITS | frozenset("+(_") | {c for c in map(chr, range(128)) if c.isalpha()}
_MOST_LOOKED_AT = 40  # digits; more make no difference to any recognizer's gate
_LONGEST_CUED_LEAD = 32  # characters; keeps the stretch searched for context words short


class _Item(NamedTuple):
    slot: int
    compiled: CompiledRecognizer
    anchor: Digits
    minimum: float
    first: frozenset[str]
    groups: frozenset[int]  # lengths the first group of digits can have
    cued: bool  # nothing but a context word can lift its score to the minimum


_Items = tuple[_Item, ...]


class _Run(NamedTuple):
    start: int
    end: int
    digits: int


class DigitScanner:
    """Recognizers with a `Digits` or `DigitGroup` anchor, run together.

    Args:
        recognizers: with the least score that counts for each.
    """

    def __init__(self, recognizers: Sequence[tuple[CompiledRecognizer, float]]) -> None:
        numbered = [(c, least) for c, least in recognizers if isinstance(c.spec.anchor, Digits)]
        items = [_item(i, compiled, minimum) for i, (compiled, minimum) in enumerate(numbered)]
        self._items = items
        self._groups = [
            _GroupItem(c, m) for c, m in recognizers if isinstance(c.spec.anchor, DigitGroup)
        ]
        cued = [item for item in items if item.cued]
        self._least = min((item.anchor.least for item in items), default=0)
        self._lead = max((item.anchor.lead for item in items if not item.cued), default=0)
        self._cued_lead = max((item.anchor.lead for item in cued), default=self._lead)
        self._gate = CueGate({item.slot: item.compiled.spec.context for item in cued})
        self._labels = [
            (item.slot, item.compiled.follows)
            for item in items
            if item.compiled.follows is not None and item.anchor.labelled
        ]
        # Arguments of `_fits` -> what fits, and what fits next to a context word; filled as
        # texts need it.
        self._fitting: dict[tuple[int, int, str, int], tuple[_Items, _Items]] = {}
        self.ids = frozenset(compiled.id for compiled, _ in recognizers)

    def scan(
        self, text: str, start: int, found: list[Match], allowed: frozenset[str] | None = None
    ) -> None:
        """Append the accepted matches that begin at `start` or later.

        Args:
            allowed: ids of the recognizers that can match at all; None for every one.
        """
        if not self._items and not self._groups:
            return
        barred: frozenset[int] = frozenset()
        if allowed is not None:
            barred = frozenset(i.slot for i in self._items if i.compiled.id not in allowed)
        # Entering a group in its middle is no loss: a place is judged by what follows it.
        groups = [hit.span() for hit in _GROUP.finditer(text, start)]
        for item in self._groups:
            if allowed is None or item.id in allowed:
                item.scan(text, start, groups, found)
        if len(barred) < len(self._items) and groups:
            resume = [start] * len(self._items)
            memo: CueMemo = {}
            for run in _runs(text, groups):
                if run.digits >= self._least:
                    self._around(text, run, resume, memo, barred, found)

    def _around(
        self,
        text: str,
        run: _Run,
        resume: list[int],
        memo: CueMemo,
        barred: frozenset[int],
        found: list[Match],
    ) -> None:
        """Try everything that fits at every place around one run."""
        low = max(0, run.start - self._cued_lead - CONTEXT_CHARS)
        cued = self._gate.open_for(text[low : run.start]) - barred
        left = run.digits
        lead = max((self._lead, *(self._items[slot].anchor.lead for slot in cued)))
        # (recognizers that want a word after the run are passed over where it is not)
        passed = {slot for slot, follows in self._labels if not follows.match(text, run.end)}
        passed |= barred
        for place in _PLACE.finditer(text, max(0, run.start - lead), run.end):
            at, after = place.span()
            char = text[at]
            group = 0
            if char in _DIGITS:
                # Inside the run a word is nothing but digits; before it, it may be "18ABC".
                group = after - at if at >= run.start else _leading(place.group())
            key = (min(left, _MOST_LOOKED_AT), group, char, max(0, run.start - at))
            always, with_cue = self._fitting.get(key) or self._fit(key)
            for item in always:
                if at >= resume[item.slot] and item.slot not in passed:
                    resume[item.slot] = _try(item, text, at, memo, found)
            for item in with_cue if cued else ():
                if item.slot in cued and at >= resume[item.slot]:
                    resume[item.slot] = _try(item, text, at, memo, found)
            if at >= run.start:
                left -= group

    def _fit(self, key: tuple[int, int, str, int]) -> tuple[_Items, _Items]:
        fitting = [item for item in self._items if _fits(item, *key)]
        always = tuple(item for item in fitting if not item.cued)
        self._fitting[key] = always, tuple(item for item in fitting if item.cued)
        return self._fitting[key]


def _runs(text: str, groups: Sequence[tuple[int, int]]) -> Iterator[_Run]:
    """Groups joined over short separators."""
    (start, end), digits = groups[0], groups[0][1] - groups[0][0]
    for low, high in groups[1:]:
        gap = low - end
        if gap <= _LONGEST_SEPARATOR and not text[end:low].strip(_SEPARATORS):
            digits += high - low
        else:
            yield _Run(start, end, digits)
            start, digits = low, high - low
        end = high
    yield _Run(start, end, digits)


class _GroupItem:
    """A recognizer with a `DigitGroup` anchor."""

    __slots__ = ("_anchor", "_compiled", "_minimum", "_sizes", "id")

    def __init__(self, compiled: CompiledRecognizer, minimum: float) -> None:
        anchor = compiled.spec.anchor
        assert isinstance(anchor, DigitGroup)
        self._anchor = anchor
        self._compiled = compiled
        self._minimum = minimum
        self._sizes = frozenset(anchor.sizes)
        self.id = compiled.id

    def scan(
        self, text: str, start: int, groups: Sequence[tuple[int, int]], found: list[Match]
    ) -> None:
        """Append the accepted matches that begin at `start` or later."""
        sizes, offset, compiled = self._sizes, self._anchor.offset, self._compiled
        before, after, size = self._anchor.before, self._anchor.after, len(text)
        resume = start
        for low, high in groups:
            at = low - offset
            if high - low not in sizes or at < resume:
                continue
            if after and (high >= size or text[high] not in after):
                continue
            if before and (low == 0 or text[low - 1] not in before):
                continue
            hit = compiled.exact.match(text, at)
            if hit is not None:
                score = compiled.score(text, at, hit.end(), self._minimum)
                if score > 0.0:
                    found.append(Match(compiled.entity, at, hit.end(), score, compiled.id))
                    resume = hit.end()


def _leading(word: str) -> int:
    hit = _GROUP.match(word)
    return hit.end() if hit is not None else 0


def _fits(item: _Item, digits: int, group: int, char: str, ahead: int) -> bool:
    """Whether the recognizer can match at a place.

    Args:
        digits: how many are left in the run.
        group: digits that the place begins with.
        char: the character at the place.
        ahead: characters from the place to the run, 0 inside it.
    """
    anchor = item.anchor
    if anchor.least > digits or anchor.lead < ahead or char not in item.first:
        return False
    return not group or min(group, _MOST_LOOKED_AT) in item.groups


def _try(item: _Item, text: str, at: int, memo: CueMemo, found: list[Match]) -> int:
    """Try one recognizer at one place; where it may be tried again."""
    _, compiled, anchor, minimum, _, _, _ = item
    if anchor.dots and text.count(".", at, at + 16) < anchor.dots:
        return at
    hit = compiled.exact.match(text, at)
    if hit is not None:
        score = compiled.score(text, at, hit.end(), minimum, memo)
        if score > 0.0:
            found.append(Match(compiled.entity, at, hit.end(), score, compiled.id))
            return hit.end()
    return at


def _item(slot: int, compiled: CompiledRecognizer, minimum: float) -> _Item:
    spec = compiled.spec
    anchor = spec.anchor
    assert isinstance(anchor, Digits)
    first = frozenset(
        chr(code) for low, high in compiled.first for code in range(low, min(high, 0x7F) + 1)
    )
    if not first <= _BEGINNINGS:
        raise ValueError(f"{spec.id}: a number begins with a letter, a digit, '+' or '('")
    if not any(low <= 0x30 <= high for low, high in first_chars(parse(spec.not_before))):
        raise ValueError(f"{spec.id}: a digit may not come directly before a number")
    groups = leading_digits(parse(spec.pattern), _MOST_LOOKED_AT)
    cued = bool(spec.context) and spec.score < minimum
    if cued and anchor.lead > _LONGEST_CUED_LEAD:
        raise ValueError(f"{spec.id}: what needs a context word begins close to its digits")
    return _Item(slot, compiled, anchor, minimum, first, groups, cued)
