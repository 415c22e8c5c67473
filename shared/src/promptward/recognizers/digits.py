"""All recognizers of numbers over one shared scan of digit runs.

A text is scanned once for runs of digits with short separators. Around each run only the places
where a word, `+` or `(` begins can begin a match, and only recognizers are tried there that fit
the digits left in the run and the first group of digits, and, if they need a context word, have
one nearby.

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
from promptward.recognizers.syntax import first_chars, leading_digits, parse

# Digits with at most three separators between two of them; four digits is the least any
# recognizer asks for. Separators: those of phone numbers (RFC 3966 visual separators, space, "/").
_RUN = re.compile("[0-9](?:[ .\\-/()\xa0]{0,3}[0-9]){3,}")
_GROUP = re.compile("[0-9]+")
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


class _Run(NamedTuple):
    start: int
    end: int
    digits: int


class DigitScanner:
    """Recognizers with a `Digits` anchor, run together.

    Args:
        recognizers: with the least score that counts for each.
    """

    def __init__(self, recognizers: Sequence[tuple[CompiledRecognizer, float]]) -> None:
        items = [_item(i, compiled, minimum) for i, (compiled, minimum) in enumerate(recognizers)]
        cued = [item for item in items if _needs_cue(item)]
        self._count = len(items)
        self._always = [item for item in items if not _needs_cue(item)]
        self._least = min((item.anchor.least for item in items), default=0)
        self._lead = max((item.anchor.lead for item in self._always), default=0)
        self._cued_lead = max((item.anchor.lead for item in cued), default=0)
        self._gate = CueGate({item: item.compiled.spec.context for item in cued}) if cued else None
        # Arguments of `_fits` -> what fits; filled as texts need it.
        self._fitting: dict[tuple[int, int, str, int], tuple[_Item, ...]] = {}

    def scan(self, text: str, start: int, found: list[Match]) -> None:
        """Append the accepted matches that begin at `start` or later."""
        if not self._count:
            return
        resume = [start] * self._count
        # Entering a run in its middle is no loss: a place is judged by what follows it.
        for hit in _RUN.finditer(text, start):
            run = hit.group()
            digits = len(run) if run.isdigit() else sum(map(len, _GROUP.findall(run)))
            if digits >= self._least:
                self._around(text, _Run(hit.start(), hit.end(), digits), resume, found)

    def _around(self, text: str, run: _Run, resume: list[int], found: list[Match]) -> None:
        """Try everything that fits at every place around one run."""
        cued: frozenset[_Item] = frozenset()
        if self._gate is not None and run.start:
            low = max(0, run.start - self._cued_lead - CONTEXT_CHARS)
            cued = self._gate.open_for(text[low : run.start])
        left = run.digits
        lead = max(self._lead, self._cued_lead) if cued else self._lead
        for place in _PLACE.finditer(text, max(0, run.start - lead), run.end):
            at, after = place.span()
            char = text[at]
            group = 0
            if char in _DIGITS:
                # Inside the run a word is nothing but digits; before it, it may be "18ABC".
                group = after - at if at >= run.start else _leading(place.group())
            key = (min(left, _MOST_LOOKED_AT), group, char, max(0, run.start - at))
            fitting = self._fitting.get(key)
            if fitting is None:
                fitting = tuple(item for item in self._always if _fits(item, *key))
                self._fitting[key] = fitting
            for item in fitting:
                if at >= resume[item.slot]:
                    resume[item.slot] = _try(item, text, at, found)
            for item in cued:
                if at >= resume[item.slot] and _fits(item, *key):
                    resume[item.slot] = _try(item, text, at, found)
            if at >= run.start:
                left -= group


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


def _try(item: _Item, text: str, at: int, found: list[Match]) -> int:
    """Try one recognizer at one place; where it may be tried again."""
    _, compiled, anchor, minimum, _, _ = item
    if anchor.dots and text.count(".", at, at + 16) < anchor.dots:
        return at
    hit = compiled.exact.match(text, at)
    if hit is not None:
        score = compiled.score(text, at, hit.end(), minimum)
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
    item = _Item(slot, compiled, anchor, minimum, first, groups)
    if _needs_cue(item) and anchor.lead > _LONGEST_CUED_LEAD:
        raise ValueError(f"{spec.id}: what needs a context word begins close to its digits")
    return item


def _needs_cue(item: _Item) -> bool:
    """Whether nothing but a context word can lift its score to the minimum."""
    return bool(item.compiled.spec.context) and item.compiled.spec.score < item.minimum
