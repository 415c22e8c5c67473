"""The injection detector: text and its source in, a calibrated score and the rules that fired out.

A text is read in several views (`views`); each view is scored window by window (`scoring`), with
pattern rules over the whole; the worst view decides.
Invariants: pure and deterministic; linear in the text; nothing of the text is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from promptward.exchange import Source
from promptward.injection.features import SILENT
from promptward.injection.folding import fold
from promptward.injection.manyshot import dialogue_turns
from promptward.injection.model import Model, model
from promptward.injection.patterns import CODE_RULES, PATTERN_RULES, PatternRule, matches
from promptward.injection.result import InjectionHit, InjectionResult
from promptward.injection.rules import CONCEPT_RULES, Rule
from promptward.injection.scoring import WindowReading, read_marks, read_view
from promptward.injection.views import View, expand_all, view_of

RULES: tuple[Rule | PatternRule, ...] = (*CONCEPT_RULES, *PATTERN_RULES, *CODE_RULES.values())
RULE_IDS = frozenset(rule.id for rule in RULES)
DETECTORS = frozenset({"heuristic", "classifier"})
MAX_HITS = 32  # hits reported for one text, the heaviest first
PAYLOAD_EVIDENCE = 0.5  # a decoded view that alone scores this much is itself a finding


class _Reading(NamedTuple):
    """What one view says."""

    view: View
    windows: list[WindowReading]
    patterns: list[tuple[PatternRule, int, int]]

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
        views, complete = expand_all(text)
        readings = [self._read(self._allow(view), source) for view in views]
        if self._match and not complete and "encoding.exhausted" not in self._silenced:
            readings[0].patterns.append((CODE_RULES["encoding.exhausted"], 0, len(views[0].text)))
        scored = [(self._log_odds(reading), reading) for reading in readings]
        worst = max(value for value, _ in scored)
        hits = self._hits(scored, source) if self._match else ()
        return InjectionResult(round(self._weights.calibrated(worst, source), 6), hits)

    def _allow(self, view: View) -> View:
        """`view` without what the deployment allows."""
        if not self._allowed or not any(phrase in view.text for phrase in self._allowed):
            return view
        blanked = view.text
        for phrase in self._allowed:
            blanked = blanked.replace(phrase, " " * len(phrase))
        return view_of(view.kind, blanked, view.origin)

    def _read(self, view: View, source: Source) -> _Reading:
        weights = self._weights if self._classify else None
        odd = view.odd if view.meant is view.distinct else None
        marks, gates = read_marks(view.words, view.meant, odd)
        if not self._match:
            return _Reading(view, read_view(view, marks, source, weights), [])
        found = matches(view.text, view.distinct, gates, source)
        if dialogue_turns(view.text, view.distinct):
            found.append((CODE_RULES["many_shot.dialogue"], 0, len(view.text)))
        windows = read_view(view, marks, source, weights, asked=bool(found))
        if self._silenced:
            found = [item for item in found if item[0].id not in self._silenced]
            windows = [window.without(self._silenced) for window in windows]
        return _Reading(view, windows, found)

    def _log_odds(self, reading: _Reading) -> float:
        """The worst window's log-odds, pattern rules counted in every window."""
        patterns = [(rule.weight, 1.0) for rule, _, _ in reading.patterns]
        values = []
        for window in reading.windows:
            value = window.classifier if self._classify else SILENT
            if self._match and (patterns or window.fired):
                fired = [(item.rule.weight, item.worth) for item in window.fired]
                value += self._weights.rule_evidence(patterns + fired)
            values.append(value)
        return max(values)

    def _hits(
        self, scored: Sequence[tuple[float, _Reading]], source: Source
    ) -> tuple[InjectionHit, ...]:
        found: dict[tuple[str, int, int], InjectionHit] = {}
        if len(scored) == 1 and not scored[0][1].fired():
            return ()
        for value, reading in scored:
            if reading.view.kind == "plain" and not reading.fired():
                continue
            for hit in self._hits_of(value, reading, source):
                found.setdefault((hit.rule, hit.start, hit.end), hit)
        heaviest = sorted(found.values(), key=lambda h: (-h.weight, h.start, h.rule))[:MAX_HITS]
        return tuple(sorted(heaviest, key=lambda h: (h.start, h.end, h.rule)))

    def _hits_of(self, value: float, reading: _Reading, source: Source) -> Iterator[InjectionHit]:
        view = reading.view
        for rule, start, end in reading.patterns:
            yield _hit(rule, *view.origin(start, end))
        fired = {f.rule.id: f for window in reversed(reading.windows) for f in window.fired}
        for item in fired.values():
            yield _hit(item.rule, *view.origin(item.start, item.end))
        if view.kind != "plain" and self._weights.calibrated(value, source) >= PAYLOAD_EVIDENCE:
            yield _hit(CODE_RULES["encoding.decoded_payload"], *view.origin(0, len(view.text)))


def _hit(rule: Rule | PatternRule, start: int, end: int) -> InjectionHit:
    return InjectionHit(rule.id, rule.category, start, end, rule.weight, rule.taxonomy)
