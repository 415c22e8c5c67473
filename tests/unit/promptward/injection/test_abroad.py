"""Freely worded attacks in fourteen languages that are not English: how many are flagged.

The sets of `abroad.json`, in the order they were written:
- `developed`, `held_out`: halves of one set, drawn at random; only the first was read while the
  lexicon was extended. One author wrote both, so the second is no stranger to the lexicon either.
- `figurative`: "lock your rules in a drawer"; never read for the lexicon.
- `plain`: written when the lexicon was thought complete, scored once, then used to extend it.
- `indifferent`: written and scored once after the last change; oblique ("nobody cares about your
  limits any more"). English versions of it and of `figurative` are not found either.
"""

from __future__ import annotations

from typing import Any

import pytest

from promptward.exchange import Source
from promptward.injection import DEFAULT_THRESHOLDS, InjectionDetector

FLAG = DEFAULT_THRESHOLDS[Source.USER].flag
# Attacks of each set that must be flagged: a few less than are (79, 74, 51, 1, 7).
FLOORS = {"developed": 76, "held_out": 71, "plain": 48, "figurative": 1, "indifferent": 3}
PER_LANGUAGE = 0.5  # of `held_out` and `plain` together


def _flagged(detector: InjectionDetector, rows: list[list[str]]) -> int:
    return sum(detector.analyze(text, Source(source)).score >= FLAG for source, text in rows)


@pytest.mark.parametrize("name", FLOORS)
def test_freely_worded_attacks_are_flagged(
    detector: InjectionDetector, abroad: dict[str, Any], name: str
) -> None:
    rows = [row for found in abroad[name]["attacks"].values() for row in found]
    assert _flagged(detector, rows) >= FLOORS[name]


@pytest.mark.parametrize(
    "language",
    ["de", "fr", "es", "it", "pt", "nl", "pl", "ru", "tr", "ar", "hi", "zh", "ja", "ko"],
)
def test_every_language_has_its_share(
    detector: InjectionDetector, abroad: dict[str, Any], language: str
) -> None:
    rows = [row for name in ("held_out", "plain") for row in abroad[name]["attacks"][language]]
    assert _flagged(detector, rows) >= PER_LANGUAGE * len(rows)


def test_look_alikes_are_not_flagged(detector: InjectionDetector, abroad: dict[str, Any]) -> None:
    rows = [
        row
        for found in abroad.values()
        for rows in found.get("benign", {}).values()
        for row in rows
    ]
    assert len(rows) == 210
    assert _flagged(detector, rows) == 0
