"""The injection detector: text and its source in, a calibrated score and the rules that fired out.

A text is read in several views (`views`); each view is scored window by window (`scoring`), with
pattern rules over the whole; the worst view decides. A text that is certain is read no further.
Invariants: pure and deterministic; linear in the text; nothing of the text is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import NamedTuple

from promptward.exchange import Source
from promptward.injection.folding import fold
from promptward.injection.manyshot import dialogue_turns
from promptward.injection.marks import Marks
from promptward.injection.model import Model, model
from promptward.injection.patterns import (
    CODE_RULES,
    PATTERN_RULES,
    PatternHit,
    PatternRule,
    Searched,
    search,
)
from promptward.injection.result import InjectionHit, InjectionResult
from promptward.injection.rules import CONCEPT_RULES, Rule
from promptward.injection.scoring import (
    Places,
    WindowReading,
    quiet_window,
    read_view,
    worst_of,
)
from promptward.injection.views import View, Views, view_of

RULES: tuple[Rule | PatternRule, ...] = (*CONCEPT_RULES, *PATTERN_RULES, *CODE_RULES.values())
RULE_IDS = frozenset(rule.id for rule in RULES)
DETECTORS = frozenset({"heuristic", "classifier"})
MAX_HITS = 32  # hits reported for one text, the heaviest first
PAYLOAD_EVIDENCE = 0.5  # a decoded view that alone scores this much is itself a finding


class _Reading(NamedTuple):
    """What one view says."""

    view: View
    windows: Sequence[WindowReading]
    patterns: Sequence[PatternHit]
    searched: Searched | None
    where: Places
    log_odds: float  # of the worst window

    def fired(self) -> bool:
        """Whether a rule fired."""
        return bool(self.patterns) or any(window.fired for window in self.windows)


class InjectionDetector:
    """Scores texts for prompt injection; build once, use for every text.

    Args:
        detectors: which of `heuristic` (rules) and `classifier` (the model) to run; not empty.
        allowlist: what is harmless in this deployment: ids of rules to leave out, and phrases,
            which are blanked before matching.

    Raises:
        ValueError: an unknown detector, or none.
    """

    def __init__(
        self,
        *,
        detectors: frozenset[str] = DETECTORS,
        allowlist: tuple[str, ...] = (),
    ) -> None:
        if not detectors or not detectors <= DETECTORS:
            raise ValueError(f"detectors must be some of {sorted(DETECTORS)}")
        self._weights: Model = model()
        self._classify = "classifier" in detectors
        self._match = "heuristic" in detectors
        self._silenced = RULE_IDS.intersection(allowlist)
        phrases = {fold(entry) for entry in allowlist if entry and entry not in RULE_IDS}
        self._allowed = tuple(sorted(phrases, key=lambda phrase: (-len(phrase), phrase)))

    def analyze(self, text: str, source: Source) -> InjectionResult:
        """The verdict on one `text` (any length) that came from `source`."""
        views = Views(text)
        readings: list[_Reading] = []
        searched: dict[str, Searched | None] = {}
        worst, certain = -inf, self._weights.certain_from(source)
        for view in views:
            earlier = searched.get(view.kind.rpartition(".")[0]) if readings else None
            reading = self._read(self._allow(view) if self._allowed else view, source, earlier)
            readings.append(reading)
            searched[view.kind] = reading.searched
            worst = max(worst, reading.log_odds)
            if worst >= certain:
                break  # no other view can add to the score
        if self._match and not views.complete() and "encoding.exhausted" not in self._silenced:
            plain = readings[0]
            exhausted = CODE_RULES["encoding.exhausted"], 0, len(plain.view.text)
            patterns = [*plain.patterns, exhausted]
            readings[0] = self._judged(plain.view, plain.windows, patterns, plain.searched)
            worst = max(worst, readings[0].log_odds)
        hits = self._hits(readings, source) if self._match else ()
        return InjectionResult(round(self._weights.calibrated(worst, source), 6), hits)

    def _allow(self, view: View) -> View:
        """`view` without what the deployment allows."""
        if not any(phrase in view.text for phrase in self._allowed):
            return view
        blanked = view.text
        for phrase in self._allowed:
            blanked = blanked.replace(phrase, " " * len(phrase))
        return view_of(view.kind, blanked, view.origin)

    def _read(self, view: View, source: Source, earlier: Searched | None) -> _Reading:
        weights = self._weights if self._classify else None
        odd = view.odd if view.meant is view.distinct else None
        marks = Marks(view.words, view.meant, odd)
        found: list[PatternHit] = []
        searched = None
        if self._match:
            searched = search(view.text, view.distinct, marks.gates, source, earlier)
            found += searched.hits
            if dialogue_turns(view.text, view.distinct):
                found.append((CODE_RULES["many_shot.dialogue"], 0, len(view.text)))
        if not (found or marks.matter):
            quiet = quiet_window(marks, weights)
            return _Reading(view, (quiet,), (), searched, Places(view), quiet.log_odds)
        windows = read_view(view, marks, source, weights, asked=bool(found))
        if not self._match:
            windows = [WindowReading(window.log_odds, ()) for window in windows]
        elif self._silenced:
            found = [item for item in found if item[0].id not in self._silenced]
            windows = [window.without(self._silenced) for window in windows]
        return self._judged(view, windows, found, searched)

    def _judged(
        self,
        view: View,
        windows: Sequence[WindowReading],
        patterns: Sequence[PatternHit],
        searched: Searched | None,
    ) -> _Reading:
        where = Places(view)
        worst = worst_of(windows, [rule.weight for rule, _, _ in patterns], where, self._weights)
        return _Reading(view, windows, patterns, searched, where, worst)

    def _hits(self, readings: Sequence[_Reading], source: Source) -> tuple[InjectionHit, ...]:
        found: dict[tuple[str, int, int], InjectionHit] = {}
        if len(readings) == 1 and not readings[0].fired():
            return ()
        for reading in readings:
            if reading.view.kind == "plain" and not reading.fired():
                continue
            for hit in self._hits_of(reading, source):
                found.setdefault((hit.rule, hit.start, hit.end), hit)
        heaviest = sorted(found.values(), key=lambda h: (-h.weight, h.start, h.rule))[:MAX_HITS]
        return tuple(sorted(heaviest, key=lambda h: (h.start, h.end, h.rule)))

    def _hits_of(self, reading: _Reading, source: Source) -> Iterator[InjectionHit]:
        view = reading.view
        for rule, start, end in reading.patterns:
            yield _hit(rule, *view.origin(start, end))
        firsts = {r.id: (r, at) for window in reversed(reading.windows) for r, at in window.fired}
        for fired, at in firsts.values():
            yield _hit(fired, *view.origin(*reading.where.around(at, fired.window)))
        alone = self._weights.calibrated(reading.log_odds, source)
        if view.kind != "plain" and alone >= PAYLOAD_EVIDENCE:
            yield _hit(CODE_RULES["encoding.decoded_payload"], *view.origin(0, len(view.text)))


def _hit(rule: Rule | PatternRule, start: int, end: int) -> InjectionHit:
    return InjectionHit(rule.id, rule.category, start, end, rule.weight, rule.taxonomy)
