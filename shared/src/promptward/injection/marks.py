"""What the words of a view mean and where they stand, worked out as far as it can matter.

Most texts cannot make a rule fire and say too little for the model to be asked; that shows in
which words occur, before their order is looked at.
Invariants: what is passed over could not have fired a rule, opened a pattern rule or told enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from operator import itemgetter

from promptward.injection.features import ASK_FROM, SILENT, TELLING
from promptward.injection.lexicon import GATE_MARK, Meanings, known_words, lexicon
from promptward.injection.patterns import PATTERN_RULES
from promptward.injection.rules import CONCEPT_RULES

_CONCEPT = itemgetter(1)


@cache
def _gate_marks() -> frozenset[str]:
    return frozenset(GATE_MARK + rule.id for rule in PATTERN_RULES if rule.phrases)


@cache
def _needs_by_rarest() -> dict[str, tuple[frozenset[str], ...]]:
    """Concept → what further concepts some rule needs beside it, for which no fewer would do.

    The concept that the fewest words mean stands for the rule, so few rules are looked at.
    """
    every = {rule.needs for rule in CONCEPT_RULES}
    spellings = lexicon().spellings
    out: dict[str, list[frozenset[str]]] = {}
    for needs in every:
        if not any(fewer < needs for fewer in every):
            rarest = min(sorted(needs), key=spellings.__getitem__)
            out.setdefault(rarest, []).append(needs)
    return {concept: tuple(found) for concept, found in out.items()}


def _may_matter(concepts: set[str]) -> bool:
    """Whether a text with no other concepts may open or fire a rule or be put to the model."""
    if len(TELLING & concepts) >= ASK_FROM or not _gate_marks().isdisjoint(concepts):
        return True
    by_rarest = _needs_by_rarest()
    return any(
        needs <= concepts for concept in by_rarest.keys() & concepts for needs in by_rarest[concept]
    )


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

    def __init__(
        self, words: Sequence[str], distinct: frozenset[str], odd: frozenset[str] | None = None
    ) -> None:
        self._words = words
        meanings = lexicon().meanings(distinct, distinct - known_words() if odd is None else odd)
        concepts = set().union(*meanings.words.values())
        self._meanings: Meanings = meanings
        self.quiet = SILENT + min(len(TELLING & concepts), ASK_FROM - 1)
        self.matter = _may_matter(concepts)
        if not self.matter and meanings.begin:
            concepts.update(meanings.of_phrases(distinct))
            self.matter = _may_matter(concepts)

    @cached_property
    def _all(self) -> list[tuple[int, str]]:
        return lexicon().marks(self._words, self._meanings)

    @cached_property
    def gates(self) -> frozenset[str]:
        """The gate marks of pattern rules."""
        return _gate_marks().intersection(map(_CONCEPT, self._all)) if self.matter else frozenset()

    @cached_property
    def places(self) -> list[tuple[int, str]]:
        """(index of a word, concept that it means) of every concept, by index."""
        gates = self.gates
        return [mark for mark in self._all if mark[1] not in gates] if gates else self._all
