"""Attacks and hard look-alikes written before looking at rules and lexicon: how many are flagged.

`blind.json`: half → attacks | benign → language → [source, family, text]. The halves were drawn at
random within each family. `developed` was read to find misses and false alarms; `counted` never
was: only its sums per family are known, so it says better what to expect of unseen texts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from promptward.exchange import Source
from promptward.injection import DEFAULT_THRESHOLDS, InjectionDetector

FLAG = DEFAULT_THRESHOLDS[Source.USER].flag
BLIND = json.loads(Path(__file__).with_name("blind.json").read_text(encoding="utf-8"))


class _Bounds(NamedTuple):
    """How many texts of one half there are, and may be flagged."""

    attacks: int
    flagged_attacks: int  # at least
    benign: int
    flagged_benign: int  # at most


# A few less, or more, than were flagged (98, 5, 91 and 14; when first scored 62, 21, 73 and 26).
BOUNDS = {"developed": _Bounds(104, 96, 97, 7), "counted": _Bounds(107, 89, 103, 16)}


def _flagged(detector: InjectionDetector, rows: list[list[str]]) -> int:
    return sum(detector.analyze(text, Source(source)).score >= FLAG for source, _, text in rows)


@pytest.mark.parametrize("half", BOUNDS)
def test_attacks_worded_blindly_are_flagged(detector: InjectionDetector, half: str) -> None:
    rows = [row for found in BLIND[half]["attacks"].values() for row in found]
    assert len(rows) == BOUNDS[half].attacks
    assert _flagged(detector, rows) >= BOUNDS[half].flagged_attacks


@pytest.mark.parametrize("half", BOUNDS)
def test_few_look_alikes_worded_blindly_are_flagged(detector: InjectionDetector, half: str) -> None:
    rows = [row for found in BLIND[half]["benign"].values() for row in found]
    assert len(rows) == BOUNDS[half].benign
    assert _flagged(detector, rows) <= BOUNDS[half].flagged_benign
