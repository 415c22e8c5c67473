"""What the words of a view mean and where they stand, worked out as far as it can matter.

Most texts cannot make a rule fire and say too little for the model to be asked; that shows in
which words occur, before their order is looked at.
Invariants: what is passed over could not have fired a rule, opened a pattern rule or told enough.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from itertools import compress, count
from typing import NamedTuple

from promptward.injection.features import ASK_FROM, SILENT, TELLING
from promptward.injection.lexicon import GATE_MARK, Masks, known_words, lexicon, masks_of
from promptward.injection.patterns import PATTERN_RULES
from promptward.injection.rules import CONCEPT_RULES

_GATES = frozenset(GATE_MARK + rule.id for rule in PATTERN_RULES if rule.phrases)
_NO_GATES: frozenset[str] = frozenset()


class _Mattering(NamedTuple):
    """What makes a text matter, in bits of concepts (`Lexicon.bits`).

    Attributes:
        gates: the gate marks.
        telling: the telling concepts.
        needs: concept → what some rules need, it included, for which no fewer would do. The concept
            that the fewest words mean stands for a rule, so few rules are looked at.
        rarest: the concepts that stand for rules.
    """

    gates: int
    telling: int
    needs: dict[int, tuple[int, ...]]
    rarest: int


@cache
def _mattering() -> _Mattering:
    terms = lexicon()
    every = {rule.needs for rule in CONCEPT_RULES}
    needs: dict[int, tuple[int, ...]] = {}
    for some in every:
        if not any(fewer < some for fewer in every):
            rarest = terms.bits([min(sorted(some), key=terms.spellings.__getitem__)])
            needs[rarest] = (*needs.get(rarest, ()), terms.bits(some))
    return _Mattering(terms.bits(_GATES), terms.bits(TELLING), needs, sum(needs))


def _may_matter(concepts: int) -> bool:
    """Whether in a text with these concepts a rule may fire or the model be asked."""
    _, telling, needs, rarest = _mattering()
    if (concepts & telling).bit_count() >= ASK_FROM:
        return True
    rarest &= concepts
    while rarest:
        concept = rarest & -rarest
        for some in needs[concept]:
            if some & concepts == some:
                return True
        rarest ^= concept
    return False


class _Found(NamedTuple):
    """Where the concepts of a view stand.

    Attributes:
        meant: the words that mean something → their concepts.
        places: indices of such words, rising.
        phrases: (index of its last word, concept) of every phrase, by index.
    """

    meant: dict[str, tuple[str, ...]]
    places: list[int]
    phrases: list[tuple[int, str]]


class Marks:
    """The concepts of a view.

    Args:
        words: its words.
        distinct: these, each once.
        odd: those of them that are no `known_words()`, if that is known.

    Attributes:
        matter: whether a rule may fire or the model be asked. If not, there is no need for places.
        quiet: log-odds of windows that the model is not asked about: more when more single words
            of the view tell, so that such texts are ranked among themselves.
    """

    __slots__ = ("_concepts", "_found", "_phrases", "_speaking", "_words", "matter", "quiet")

    def __init__(
        self, words: Sequence[str], distinct: frozenset[str], odd: frozenset[str] | None = None
    ) -> None:
        terms = lexicon()
        self._words = words
        speaking = terms.speaking(distinct, distinct - known_words() if odd is None else odd)
        self._speaking = speaking
        concepts = terms.of_words(speaking)
        self.quiet = SILENT + min((concepts & _mattering().telling).bit_count(), ASK_FROM - 1)
        self._phrases = terms.phrases(words, speaking)
        self._found: _Found | None = None
        if self._phrases:
            concepts |= terms.bits({concept for _, concept in self._phrases})
        self.matter = _may_matter(concepts)
        self._concepts = concepts

    @property
    def gates(self) -> frozenset[str]:
        """The gate marks of pattern rules."""
        gates = self._concepts & _mattering().gates
        return lexicon().named(gates) if gates else _NO_GATES

    @property
    def places(self) -> list[tuple[int, str]]:
        """(index of a word, concept that it means) of every concept, by index."""
        marks = lexicon().marks(self._words, self._speaking, self._phrases)
        gates = self.gates
        return [mark for mark in marks if mark[1] not in gates] if gates else marks

    def masks(self, start: int, end: int) -> Masks:
        """The masks of the concepts among the words `start:end`, counted from `start`."""
        found = self._found
        if found is None:
            meant = lexicon().meanings(self._speaking)
            places = [*compress(count(), map(meant.__contains__, self._words))]
            found = self._found = _Found(meant, places, sorted(self._phrases))
        words, (meant, places, phrases) = self._words, found
        if start or end < len(words):
            places = places[bisect_left(places, start) : bisect_left(places, end)]
            phrases = phrases[bisect_left(phrases, (start, "")) : bisect_left(phrases, (end, ""))]
        masks = masks_of(phrases, start)
        for at in places:
            bit = 1 << at - start
            for concept in meant[words[at]]:
                masks[concept] = masks.get(concept, 0) | bit
        for gate in self.gates:
            masks.pop(gate, None)
        return masks
