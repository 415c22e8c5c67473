"""Tuning on an operator's own traffic: labelled texts in, thresholds and allow-list ideas out.

Purpose: the default thresholds fit public data; a deployment knows its own. From texts labelled
attack or harmless this measures what the current thresholds do and suggests, for every source, the
lowest thresholds that keep false alarms under a target.
Invariants: pure; keeps scores and rule ids, never texts; a source with too few harmless texts gets
no suggestion rather than a guess. What does not belong here: reading files, printing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from promptward.exchange import Source
from promptward.injection.detector import InjectionDetector
from promptward.injection.result import DEFAULT_THRESHOLDS, Threshold

MIN_HARMLESS = 50  # harmless texts of a source below which its quantiles say nothing
STEP = 0.01  # thresholds are suggested in steps of this size
NOISY_RULE_SHARE = 0.5  # a rule that fires this often on harmless texts is worth reporting


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text of the operator's traffic."""

    text: str
    attack: bool
    source: Source = Source.USER


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What was measured for one source.

    Attributes:
        source: the source.
        attacks, harmless: how many examples.
        current, suggested: thresholds; `suggested` is None with too few harmless examples.
        caught, false_alarms: shares flagged at `current`.
        caught_after, false_alarms_after: shares flagged at `suggested`.
    """

    source: Source
    attacks: int
    harmless: int
    current: Threshold
    suggested: Threshold | None
    caught: float
    false_alarms: float
    caught_after: float
    false_alarms_after: float


@dataclass(frozen=True, slots=True)
class TuningReport:
    """Every source measured, and the rules that fire mostly on harmless texts.

    Attributes:
        sources: one report for every source with examples, by name.
        noisy_rules: (rule id, times on harmless texts, times on attacks), the noisiest first.
    """

    sources: tuple[SourceReport, ...]
    noisy_rules: tuple[tuple[str, int, int], ...]


# JSON's `true` and `1.0` are equal to 1 here.
_LABELS: dict[int | str, bool] = {1: True, "attack": True, 0: False, "harmless": False}


def read_examples(lines: Iterable[str]) -> Iterable[Example]:
    """The examples in JSON Lines `{"text", "label", "source"}`.

    A label is 1, true or "attack", or 0, false or "harmless"; a source is "user" unless it is said.

    Raises:
        ValueError: a line is not such an object; the message names its number, not its text.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            source = Source(raw.get("source", "user"))
            yield Example(str(raw["text"]), _LABELS[raw["label"]], source)
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            raise ValueError(
                f'line {number}: expected {{"text", "label", "source"}} with label 1 for an attack'
                " and 0 for a harmless text"
            ) from fault


def tune(
    examples: Iterable[Example],
    detector: InjectionDetector,
    *,
    thresholds: Mapping[Source, Threshold] = DEFAULT_THRESHOLDS,
    flag_share: float = 0.01,
    block_share: float = 0.001,
) -> TuningReport:
    """Measure `examples` and suggest thresholds.

    Args:
        examples: labelled texts; each is scored once and not kept.
        detector: as deployed.
        thresholds: as deployed.
        flag_share, block_share: highest share of harmless texts to flag and to block, 0..1.
    """
    scores: dict[Source, tuple[list[float], list[float]]] = {}
    fired: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for example in examples:
        result = detector.analyze(example.text, example.source)
        scores.setdefault(example.source, ([], []))[example.attack].append(result.score)
        fired[example.attack].update({hit.rule for hit in result.hits})
    reports = tuple(
        _report(source, harmless, attacks, thresholds[source], (flag_share, block_share))
        for source, (harmless, attacks) in sorted(scores.items())
    )
    noisy = [
        (rule, count, fired[1][rule])
        for rule, count in fired[0].items()
        if count >= NOISY_RULE_SHARE * (count + fired[1][rule])
    ]
    return TuningReport(reports, tuple(sorted(noisy, key=lambda n: (-n[1], n[0]))))


def _report(
    source: Source,
    harmless: Sequence[float],
    attacks: Sequence[float],
    current: Threshold,
    shares: tuple[float, float],
) -> SourceReport:
    suggested = None
    if len(harmless) >= MIN_HARMLESS:
        flag = lowest_threshold(harmless, shares[0])
        suggested = Threshold(flag, max(flag, lowest_threshold(harmless, shares[1])))
    after = suggested or current
    return SourceReport(
        source, len(attacks), len(harmless), current, suggested,
        _share(attacks, current.flag), _share(harmless, current.flag),
        _share(attacks, after.flag), _share(harmless, after.flag),
    )  # fmt: skip


def _share(scores: Sequence[float], threshold: float) -> float:
    return sum(score >= threshold for score in scores) / len(scores) if scores else 0.0


def lowest_threshold(harmless: Sequence[float], share: float) -> float:
    """The lowest threshold (in steps of `STEP`) that at most `share` of `harmless` reach."""
    steps = round(1 / STEP)
    for step in range(1, steps + 1):
        if _share(harmless, step * STEP) <= share:
            return round(step * STEP, 6)
    return 1.0
