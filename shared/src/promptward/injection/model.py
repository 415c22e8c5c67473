"""The linear model: features of one window of words in, log-odds out; calibration to 0..1.

Weights are data (`data/model.json`), trained by `shared/training/train.py`; nothing here learns.
Invariants: sums of weights are exact and the final score is rounded, so that every interpreter
gives the same number; a text that is not English is judged on its concepts alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from math import fsum, log
from sys import intern
from typing import Any

from promptward.exchange import Source
from promptward.injection.features import (
    PAIR_WINDOW,
    SILENT,
    TELLING,
    WINDOW_STRIDE,
    WINDOW_WORDS,
    length_feature,
    telling,
)
from promptward.injection.folding import load_data
from promptward.injection.lanes import LANE, Block
from promptward.injection.lexicon import Masks
from promptward.injection.rules import around

# Share of a window's distinct words in the English vocabulary from which it counts as English:
# development English has 0.55..0.95, the other Latin-script languages 0.05..0.30.
ENGLISH_SHARE = 0.4
FOREIGN = "x:foreign"
_IN_WINDOW = (1 << WINDOW_WORDS) - 1
_WEIGHT_BITS = 20  # the words of a window weigh less than 2**19 together
_NOTHING = repeat(0)
# Sources that hold documents rather than requests: longer, and about systems more often, so the
# same evidence is less surprising there.
DOCUMENTS = frozenset(
    {
        Source.DOCUMENT,
        Source.TOOL_RESULT,
        Source.TOOL_DEFINITION,
        Source.SYSTEM,
        Source.DEVELOPER,
    }
)


def is_english(known: int, distinct: int) -> bool:
    """Whether a window with `known` of `distinct` words in the vocabulary counts as English."""
    return known >= ENGLISH_SHARE * distinct


@dataclass(frozen=True, slots=True)
class Model:
    """Weights and calibration.

    A weight is kept as a whole number of `unit`ths, exactly what the float in the data is, so sums
    are exact and the same in any order. A word's weight has `known` added: one sum over the words
    of a window says what they weigh and how many of them are known.

    Attributes:
        bias: intercept.
        unit: what 1.0 is, a power of two.
        concepts: weight of concept, pair and length features, by name.
        partners: for each telling concept its weight, and the weights of its pairs; a pair of two
            telling ones belongs to the first by name.
        words: weight of an English word, `known` added.
        known: what counts a known word in a sum; far more than any window of words weighs.
        rule_scale: log-odds per unit of rule evidence (-log(1 - weight), summed).
        rule_cap: most rule evidence that counts.
        knots: for `user` and for `document` text the (log-odds, score) pairs of its calibration,
            both rising.
    """

    bias: float
    unit: int
    concepts: Mapping[str, int]
    partners: Mapping[str, tuple[int, Mapping[str, int]]]
    words: Mapping[str, int]
    known: int
    rule_scale: float
    rule_cap: float
    knots: Mapping[str, tuple[tuple[float, float], ...]]

    def log_odds(self, words: Sequence[str], masks: Masks, *, asked: bool = False) -> float:
        """Evidence of the classifier alone for one window.

        Args:
            words: the window.
            masks: its concepts.
            asked: whether a rule fired; if not, and nothing tells, the answer is `SILENT`.
        """
        if not asked and not telling(masks):
            return SILENT
        (concepts,) = self._concept_weights(masks, [0])
        return self._sum(len(words), frozenset(words), concepts)

    def log_odds_in(
        self, words: Sequence[str], distinct: frozenset[str], block: Block, lanes: Sequence[int]
    ) -> list[float]:
        """Evidence of the classifier alone for some windows of a view.

        Args:
            words: all words of the view.
            distinct: these, each once.
            block: windows and their concepts.
            lanes: which of the windows.
        """
        if not lanes:
            return []
        weights = self._concept_weights(block.masks, lanes)
        if len(words) <= WINDOW_WORDS:
            return [self._sum(len(words), distinct, weights[0])]
        out = []
        for lane, concepts in zip(lanes, weights, strict=True):
            start = (block.first + lane) * WINDOW_STRIDE
            window = words[start : start + WINDOW_WORDS]
            out.append(self._sum(len(window), frozenset(window), concepts))
        return out

    def _sum(self, count: int, distinct: frozenset[str], concepts: int) -> float:
        """Log-odds of a window of `count` words, `distinct` when each is taken once.

        Args:
            count: how many words.
            distinct: the words.
            concepts: what its concepts and their pairs weigh.
        """
        weighed = sum(map(self.words.get, distinct, _NOTHING))
        known = (weighed + self.known // 2) // self.known
        total = concepts + self.concepts.get(length_feature(count), 0)
        if is_english(known, len(distinct)):
            total += weighed - known * self.known
        else:
            total += self.concepts.get(FOREIGN, 0)
        return self.bias + total / self.unit

    def _concept_weights(self, masks: Masks, lanes: Sequence[int]) -> list[int]:
        """What the `concept_features` of each of these windows weigh together."""
        windows = [_IN_WINDOW << lane * LANE for lane in lanes]
        out = [0] * len(lanes)
        for concept in masks.keys() & self.partners.keys():
            weight, partners = self.partners[concept]
            mask = masks[concept]
            met = [(weight, mask)]
            if near := masks.keys() & partners.keys():
                wide = around(mask, PAIR_WINDOW)
                met += [(partners[o], places) for o in near if (places := wide & masks[o])]
            for at, window in enumerate(windows):
                for worth, places in met:
                    if places & window:
                        out[at] += worth
        return out

    def rule_evidence(self, weights: Sequence[tuple[float, float]]) -> float:
        """Evidence of the rules that fired in one window, given as (weight, worth) pairs."""
        return self.rule_scale * min(self.rule_cap, fsum(-log(1.0 - w) * k for w, k in weights))

    def _knots(self, source: Source) -> tuple[tuple[float, float], ...]:
        return self.knots["document" if source in DOCUMENTS else "user"]

    def certain_from(self, source: Source) -> float:
        """The log-odds from which the score of a text from `source` is the highest there is."""
        return self._knots(source)[-1][0]

    def calibrated(self, log_odds: float, source: Source) -> float:
        """The score of `log_odds` in a text from `source`, interpolated between the knots."""
        knots = self._knots(source)
        if log_odds <= knots[0][0]:
            return knots[0][1]
        at = bisect_right(knots, (log_odds, 2.0))
        if at == len(knots):
            return knots[-1][1]
        (x0, y0), (x1, y1) = knots[at - 1], knots[at]
        return y0 + (y1 - y0) * (log_odds - x0) / (x1 - x0)


def _partners(concepts: Mapping[str, int]) -> dict[str, tuple[int, dict[str, int]]]:
    pairs: dict[str, dict[str, int]] = {concept: {} for concept in TELLING}
    for name, weight in concepts.items():
        kind, _, rest = name.partition(":")
        if kind == "p":
            one, _, other = rest.partition("|")
            first, second = (one, other) if one in TELLING else (other, one)
            pairs[first][second] = weight
    return {concept: (concepts.get(f"c:{concept}", 0), found) for concept, found in pairs.items()}


def decode_model(data: Any) -> Model:
    """The model in the JSON object `data`."""
    named: Mapping[str, float] = data["concepts"]
    worded: Mapping[str, float] = data["words"]
    unit = max(weight.as_integer_ratio()[1] for weight in (*named.values(), *worded.values()))
    exact = {weight: int(weight * unit) for weight in (*named.values(), *worded.values())}
    concepts = {name: exact[weight] for name, weight in named.items()}
    known = unit << _WEIGHT_BITS
    counted = {weight: known + exact[weight] for weight in worded.values()}
    return Model(
        bias=data["bias"],
        unit=unit,
        concepts=concepts,
        partners=_partners(concepts),
        words={intern(word): counted[weight] for word, weight in worded.items()},
        known=known,
        rule_scale=data["rule_scale"],
        rule_cap=data["rule_cap"],
        knots={kind: tuple((x, y) for x, y in knots) for kind, knots in data["knots"].items()},
    )


@cache
def model() -> Model:
    """The model of `data/model.json`."""
    return decode_model(load_data("model"))
