"""The views of one text: as it reads, and as it reads once every disguise is undone.

Invariants: the number of views and their characters altogether are at most linear in the input
(`SPARE_VIEWS`, `MAX_GROWTH`), and payloads are opened `MAX_DEPTH` deep, so the work stays linear; a
payload that does not fit is reported, never passed silently; every view knows where its text came
from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress
from typing import NamedTuple

from promptward.injection.decoding import blobs, unescaped
from promptward.injection.folding import (
    fold,
    fold_table,
    mixes_scripts,
    skeleton,
    skeleton_table,
)
from promptward.injection.hidden import hidden_payloads, may_hide
from promptward.injection.leetspeak import unleet
from promptward.injection.lexicon import known_words, lexicon
from promptward.injection.origins import Folded, Origin, identity, mirrored, then, within
from promptward.injection.respelling import not_ascii
from promptward.injection.shifting import unreverse, unshift
from promptward.injection.spacing import unjoint, unspace
from promptward.injection.tokens import spaced
from promptward.injection.typos import typos

SPARE_VIEWS, CHARS_A_VIEW = 24, 128  # views allowed, and characters that allow one more
MAX_DEPTH = 3
MAX_GROWTH = 4
SPARE_CHARS = 4_096


class View(NamedTuple):
    """One reading of the text.

    Attributes:
        kind: `plain`, or the disguises that were undone, outermost first (`base64.url`).
        text: the folded text.
        words: its words; typos of keywords corrected.
        meant: those words, each once.
        read: its words as they stand, before correction.
        distinct: those words, each once.
        odd: those of them that are neither in the lexicon nor common English.
        origin: from ranges of `text` to ranges of the original.
    """

    kind: str
    text: str
    words: list[str]
    meant: frozenset[str]
    read: list[str]
    distinct: frozenset[str]
    odd: frozenset[str]
    origin: Origin


@dataclass(slots=True)
class _Budget:
    """What is left to spend on one text."""

    views: int
    chars: int
    refused: bool = False

    def take(self, size: int) -> bool:
        """Whether another view of `size` characters fits; if so it is paid for."""
        if self.views <= 0 or size > self.chars:
            self.refused = True
            return False
        self.views -= 1
        self.chars -= size
        return True


class WordEnds:
    """Where the words of a view end in its text, found when it is asked.

    A text of words and single spaces ends its word `i` after `i` spaces and the letters so far;
    more spaces are further, empty pieces between spaces.

    Args:
        view: the view.
    """

    __slots__ = ("_letters", "_pieces")

    def __init__(self, view: View) -> None:
        text = spaced(view.text)
        between = text.split(" ")
        self._pieces: Sequence[int] = [*compress(range(len(between)), between)]
        self._letters = [*accumulate(map(len, between))]
        if len(self._pieces) != len(view.read):  # some were cut where there is no space
            at = 0
            self._letters = []
            for number, word in enumerate(view.read):
                at = text.index(word, at) + len(word)
                self._letters.append(at - number)
            self._pieces = range(len(view.read))

    def __len__(self) -> int:
        return len(self._pieces)

    def of(self, index: int) -> int:
        """Where the word number `index` ends."""
        piece = self._pieces[index]
        return self._letters[piece] + piece


def view_of(kind: str, folded: str, origin: Origin) -> View:
    """The view of a folded text."""
    read = lexicon().words(spaced(folded))
    distinct = frozenset(read)
    odd = distinct - known_words()
    corrections = typos(odd)
    if not corrections:
        return View(kind, folded, read, distinct, read, distinct, odd, origin)
    words = [corrections.get(word, word) for word in read]
    return View(kind, folded, words, frozenset(words), read, distinct, odd, origin)


def _readings(raw: str, kind: str, origin: Origin, budget: _Budget, depth: int) -> Iterator[View]:
    """`raw` read plainly, then with every disguise undone, payloads read in their turn."""
    ascii_only = raw.isascii()
    folded = fold(raw)
    to_raw = origin if ascii_only else then(Folded(raw, fold_table()), origin)
    plain = view_of(kind, folded, to_raw)
    yield plain
    foreign = not_ascii(raw)
    if foreign and mixes_scripts(folded, foreign) and budget.take(len(raw)):
        yield view_of(
            f"{kind}.lookalikes", skeleton(raw), then(Folded(raw, skeleton_table()), origin)
        )
    for name, text, back in _undone(plain):
        if budget.take(len(text)):
            yield view_of(f"{kind}.{name}", text, then(back, to_raw))
    if depth < MAX_DEPTH:
        yield from _payloads(raw, kind, origin, budget, depth, plain, foreign)


def _undone(plain: View) -> Iterator[tuple[str, str, Origin]]:
    """(disguise, undone text, origin in the plain view's text)."""
    folded, odd = plain.text, plain.odd
    if odd:  # these three show in words that are none
        if (text := unshift(folded, odd)) is not None:
            yield "rot", text, identity
        if (text := unreverse(folded, odd)) is not None:
            yield "reversed", text, mirrored(len(folded))
        if (text := unleet(folded, odd)) is not None:
            yield "leet", text, identity
    if (pair := unspace(folded, plain.distinct)) is not None:
        yield "spaced", *pair
    if odd and (pair := unjoint(folded, odd)) is not None:
        yield "joints", *pair


def _payloads(
    raw: str, kind: str, origin: Origin, budget: _Budget, depth: int, plain: View, foreign: str
) -> Iterator[View]:
    for name, (start, end, text) in blobs(raw, plain.odd):
        if budget.take(len(text)):
            inner = then(within(start, end), origin)
            yield from _readings(text, f"{kind}.{name}", inner, budget, depth + 1)
    for name, text, back in unescaped(raw):
        if budget.take(len(text)):
            yield from _readings(text, f"{kind}.{name}", then(back, origin), budget, depth + 1)
    if may_hide(foreign):
        for name, (start, end, text) in hidden_payloads(raw):
            if budget.take(len(text)):
                inner = then(within(start, end), origin)
                yield from _readings(text, f"{kind}.{name}", inner, budget, depth + 1)


def expand_all(text: str) -> tuple[list[View], bool]:
    """(every view of `text`, the plain one first; whether all payloads fitted the budget)."""
    budget = _Budget(SPARE_VIEWS + len(text) // CHARS_A_VIEW, MAX_GROWTH * len(text) + SPARE_CHARS)
    views = list(_readings(text, "plain", identity, budget, 0))
    return views, not budget.refused


def expand(text: str) -> list[View]:
    """Every view of `text`, the plain one first."""
    return expand_all(text)[0]
