"""The injection detector: text and its source in, a calibrated score and the rules that fired out.

Invariants: pure and deterministic; linear in the text; nothing of the text is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from promptward.exchange import Source
from promptward.injection.folding import FoldedOrigin, fold, fold_table
from promptward.injection.lexicon import lexicon
from promptward.injection.result import InjectionHit, InjectionResult
from promptward.injection.rules import RULES, Rule
from promptward.injection.tokens import spaced


class InjectionDetector:
    """Scores texts for prompt injection; build once, use for every text.

    Args:
        detectors: which of `heuristic` and `classifier` to run.
        allowlist: phrases that are harmless in this deployment; hits inside one are dropped.
    """

    def __init__(
        self,
        *,
        detectors: frozenset[str] = frozenset({"heuristic", "classifier"}),
        allowlist: tuple[str, ...] = (),
    ) -> None:
        self._detectors = detectors
        self._allowlist = tuple(fold(phrase) for phrase in allowlist)

    def analyze(self, text: str, source: Source) -> InjectionResult:
        """The verdict on one `text` that came from `source`."""
        folded = fold(text)
        for phrase in self._allowlist:
            folded = folded.replace(phrase, " " * len(phrase))
        origin = FoldedOrigin(text, fold_table())
        terms = lexicon()
        places = terms.split(spaced(folded))
        words = [folded[a:b] for a, b in places]
        by_concept: dict[str, list[int]] = {}
        for mark in terms.marks(words):
            by_concept.setdefault(mark.concept, []).append(mark.start)
        hits = []
        for rule in RULES:
            found = self._match(rule, source, by_concept)
            if found is not None:
                start, end = origin(places[found[0]][0], places[found[1]][1])
                hits.append(
                    InjectionHit(rule.id, rule.category, start, end, rule.weight, rule.taxonomy)
                )
        clear = 1.0
        for hit in hits:
            clear *= 1.0 - hit.weight
        return InjectionResult(round(1.0 - clear, 6), tuple(hits))

    @staticmethod
    def _match(
        rule: Rule, source: Source, by_concept: dict[str, list[int]]
    ) -> tuple[int, int] | None:
        if rule.sources and source.value not in rule.sources:
            return None
        if not all(concept in by_concept for concept in rule.concepts):
            return None
        for at in by_concept[rule.concepts[0]]:
            picked = [at]
            for concept in rule.concepts[1:]:
                near = [p for p in by_concept[concept] if abs(p - at) <= rule.window and p != at]
                if not near:
                    break
                picked.append(near[0])
            else:
                return min(picked), max(picked)
        return None

    def analyze_conversation(
        self, turns: Sequence[tuple[Source, str]]
    ) -> tuple[InjectionResult, ...]:
        """One verdict a turn, with what builds up over several turns in the later ones' scores."""
        return tuple(self.analyze(text, source) for source, text in turns)
