"""The views of one text: as it reads, and as it reads once every disguise is undone.

Invariants: the number of views and their characters altogether are at most linear in the input
(`SPARE_VIEWS`, `MAX_GROWTH`), and payloads are opened `MAX_DEPTH` deep, so the work stays linear; a
payload that does not fit is reported, never passed silently; every view knows where its text came
from.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import NamedTuple

from promptward.injection.decoding import blobs, may_be_written, numbers_among, unescaped
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
from promptward.injection.shifting import reversed_words, shifted_words, unreverse, unshift
from promptward.injection.spacing import fragments, may_be_spaced, unjoint, unspace
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
    """Where the words of a view end in its text.

    A word ends after as many letters as it and the words before it have, and as many spaces as part
    the pieces up to that letter; several spaces have empty pieces between them.

    Args:
        view: the view.
    """

    __slots__ = ("_pieces", "_words")

    def __init__(self, view: View) -> None:
        # letters up to the end of each
        self._words = [*accumulate(map(len, view.read))]
        self._pieces = [*accumulate(map(len, spaced(view.text).split(" ")))]

    def __len__(self) -> int:
        return len(self._words)

    def of(self, index: int) -> int:
        """Where the word number `index` ends."""
        letters = self._words[index]
        return letters + bisect_left(self._pieces, letters)


def view_of(kind: str, folded: str, origin: Origin) -> View:
    """The view of a folded text."""
    read = lexicon().words(spaced(folded))
    distinct = frozenset(read)
    odd = distinct - known_words()
    corrections = typos(odd) if odd else None
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
    numbers = numbers_among(plain.odd) if plain.odd else ()
    if plain.odd or may_be_spaced(plain.distinct):
        for name, text, back in _undone(plain, numbers):
            if budget.take(len(text)):
                yield view_of(f"{kind}.{name}", text, then(back, to_raw))
    if depth < MAX_DEPTH and (plain.odd or foreign or may_be_written(raw)):
        yield from _payloads(raw, kind, origin, budget, depth, plain, numbers, foreign)


@cache
def _betraying() -> frozenset[str]:
    """The words that show a shifted alphabet, reversed text or words that are cut."""
    return shifted_words() | reversed_words() | fragments()


def _undone(plain: View, numbers: Sequence[str]) -> Iterator[tuple[str, str, Origin]]:
    """(disguise, undone text, origin in the plain view's text)."""
    folded, odd = plain.text, plain.odd
    betrayed = odd and not odd.isdisjoint(_betraying())
    if betrayed:
        if (text := unshift(folded, odd)) is not None:
            yield "rot", text, identity
        if (text := unreverse(folded, odd)) is not None:
            yield "reversed", text, mirrored(len(folded))
    if numbers and (text := unleet(folded, numbers)) is not None:
        yield "leet", text, identity
    if (pair := unspace(folded, plain.distinct)) is not None:
        yield "spaced", *pair
    if betrayed and (pair := unjoint(folded, odd)) is not None:
        yield "joints", *pair


def _payloads(
    raw: str,
    kind: str,
    origin: Origin,
    budget: _Budget,
    depth: int,
    plain: View,
    numbers: Sequence[str],
    foreign: str,
) -> Iterator[View]:
    for name, (start, end, text) in blobs(raw, plain.odd, numbers):
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


class Views:
    """Every view of a text, the plain one first; each is made when it is asked for.

    Args:
        text: the text.
    """

    __slots__ = ("_budget", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        spare = MAX_GROWTH * len(text) + SPARE_CHARS
        self._budget = _Budget(SPARE_VIEWS + len(text) // CHARS_A_VIEW, spare)

    def __iter__(self) -> Iterator[View]:
        return _readings(self._text, "plain", identity, self._budget, 0)

    def complete(self) -> bool:
        """Whether all payloads met so far fitted the budget."""
        return not self._budget.refused


def expand(text: str) -> list[View]:
    """Every view of `text`, the plain one first."""
    return list(Views(text))
