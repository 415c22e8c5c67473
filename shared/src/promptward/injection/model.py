"""The linear model: features of one window of words in, log-odds out; calibration to 0..1.

Weights are data (`data/model.json`), trained by `shared/training/train.py`; nothing here learns.
Invariants: weights are added in a fixed order and the final score is rounded, so that every
interpreter gives the same number; a text that is not English is judged on its concepts alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import fsum, log
from typing import Any

from promptward.injection.features import concept_features, length_feature
from promptward.injection.folding import load_data
from promptward.injection.lexicon import Masks
from promptward.injection.patterns import PatternRule
from promptward.injection.rules import Rule

# Share of a window's distinct words in the English vocabulary from which it counts as English:
# development English has 0.55..0.95, the other Latin-script languages 0.05..0.30.
ENGLISH_SHARE = 0.4
FOREIGN = "x:foreign"


def is_english(known: int, distinct: int) -> bool:
    """Whether a window with `known` of `distinct` words in the vocabulary counts as English."""
    return known >= ENGLISH_SHARE * distinct


@dataclass(frozen=True, slots=True)
class Model:
    """Weights and calibration.

    Attributes:
        bias: intercept.
        concepts: weight of concept, pair and length features, by name.
        words: weight of an English word.
        vocabulary: the keys of `words`.
        rule_scale: log-odds per unit of rule evidence (-log(1 - weight), summed).
        rule_cap: most rule evidence that counts.
        knots: (log-odds, score) pairs of the calibration, both rising.
    """

    bias: float
    concepts: dict[str, float]
    words: dict[str, float]
    vocabulary: frozenset[str]
    rule_scale: float
    rule_cap: float
    knots: tuple[tuple[float, float], ...]

    @property
    def silent(self) -> float:
        """Log-odds of a window in which nothing speaks, for scoring with rules alone."""
        return self.knots[0][0]

    def log_odds(self, words: Sequence[str], masks: Masks) -> float:
        """Evidence of the classifier alone for one window."""
        distinct = set(words)
        known = distinct & self.vocabulary
        names = concept_features(masks)
        names.append(length_feature(len(words)))
        weights = self.concepts
        parts = [weights[name] for name in names if name in weights]
        if is_english(len(known), len(distinct)):
            parts.extend(map(self.words.__getitem__, known))
        else:
            parts.append(weights.get(FOREIGN, 0.0))
        return self.bias + fsum(parts)

    def rule_evidence(self, rules: Sequence[Rule | PatternRule]) -> float:
        """Evidence of the rules that fired in one window."""
        return self.rule_scale * min(self.rule_cap, fsum(-log(1.0 - r.weight) for r in rules))

    def calibrated(self, log_odds: float) -> float:
        """The score of `log_odds`, by linear interpolation between the knots."""
        at = bisect_right(self.knots, (log_odds, 2.0))
        if at == 0:
            return self.knots[0][1]
        if at == len(self.knots):
            return self.knots[-1][1]
        (x0, y0), (x1, y1) = self.knots[at - 1], self.knots[at]
        return y0 + (y1 - y0) * (log_odds - x0) / (x1 - x0)


def decode_model(data: Any) -> Model:
    """The model in the JSON object `data`."""
    return Model(
        bias=data["bias"],
        concepts=dict(data["concepts"]),
        words=dict(data["words"]),
        vocabulary=frozenset(data["words"]),
        rule_scale=data["rule_scale"],
        rule_cap=data["rule_cap"],
        knots=tuple((x, y) for x, y in data["knots"]),
    )


@cache
def model() -> Model:
    """The model of `data/model.json`."""
    return decode_model(load_data("model"))
