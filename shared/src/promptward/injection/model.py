"""The linear model: features of one window of words in, log-odds out; calibration to 0..1.

Weights are data (`data/model.json`), trained by `shared/training/train.py`; nothing here learns.
Invariants: weights are added in a fixed order and the final score is rounded, so that every
interpreter gives the same number; a text that is not English is judged on its concepts alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import fsum, log
from typing import Any

from promptward.exchange import Source
from promptward.injection.features import (
    PAIR_WINDOW,
    SILENT,
    WINDOW_STRIDE,
    WINDOW_WORDS,
    length_feature,
    telling,
)
from promptward.injection.folding import load_data
from promptward.injection.lanes import Block, lanes_in
from promptward.injection.lexicon import Masks
from promptward.injection.rules import around

# Share of a window's distinct words in the English vocabulary from which it counts as English:
# development English has 0.55..0.95, the other Latin-script languages 0.05..0.30.
ENGLISH_SHARE = 0.4
FOREIGN = "x:foreign"
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

    Attributes:
        bias: intercept.
        concepts: weight of concept, pair and length features, by name.
        partners: for each concept its weight, and the weights of its pairs with concepts that
            sort after it.
        words: weight of an English word.
        vocabulary: the keys of `words`.
        rule_scale: log-odds per unit of rule evidence (-log(1 - weight), summed).
        rule_cap: most rule evidence that counts.
        knots: for `user` and for `document` text the (log-odds, score) pairs of its calibration,
            both rising.
    """

    bias: float
    concepts: dict[str, float]
    partners: Mapping[str, tuple[float, Mapping[str, float]]]
    words: dict[str, float]
    vocabulary: frozenset[str]
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
        parts = self._concept_weights(masks, [0])[0]
        distinct = frozenset(words)
        return self._sum(len(words), distinct, distinct & self.vocabulary, parts)

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
        known = distinct & self.vocabulary
        parts = self._concept_weights(block.masks, lanes)
        if len(words) <= WINDOW_WORDS:
            return [self._sum(len(words), distinct, known, parts[0])]
        out = []
        for lane in lanes:
            start = (block.first + lane) * WINDOW_STRIDE
            window = words[start : start + WINDOW_WORDS]
            own = frozenset(window)
            out.append(self._sum(len(window), own, own & known, parts[lane]))
        return out

    def _sum(
        self, count: int, distinct: frozenset[str], known: frozenset[str], parts: list[float]
    ) -> float:
        """Log-odds of a window of `count` words, of which `known` have a weight."""
        parts.append(self.concepts.get(length_feature(count), 0.0))
        if is_english(len(known), len(distinct)):
            parts.extend(map(self.words.__getitem__, known))
        else:
            parts.append(self.concepts.get(FOREIGN, 0.0))
        return self.bias + fsum(parts)

    def _concept_weights(self, masks: Masks, lanes: Sequence[int]) -> dict[int, list[float]]:
        """The weights of `concept_features` in each of these windows, without their names."""
        parts: dict[int, list[float]] = {lane: [] for lane in lanes}
        for concept, mask in masks.items():
            weight, partners = self.partners.get(concept, (0.0, {}))
            met = [(weight, mask)] if weight else []
            near = masks.keys() & partners.keys()
            if near:
                wide = around(mask, PAIR_WINDOW)
                met += [
                    (partners[other], places) for other in near if (places := wide & masks[other])
                ]
            for worth, places in met:
                for lane in lanes_in(places):
                    if lane in parts:
                        parts[lane].append(worth)
        return parts

    def rule_evidence(self, weights: Sequence[tuple[float, float]]) -> float:
        """Evidence of the rules that fired in one window, given as (weight, worth) pairs."""
        return self.rule_scale * min(self.rule_cap, fsum(-log(1.0 - w) * k for w, k in weights))

    def calibrated(self, log_odds: float, source: Source) -> float:
        """The score of `log_odds` in a text from `source`, interpolated between the knots."""
        knots = self.knots["document" if source in DOCUMENTS else "user"]
        at = bisect_right(knots, (log_odds, 2.0))
        if at == 0:
            return knots[0][1]
        if at == len(knots):
            return knots[-1][1]
        (x0, y0), (x1, y1) = knots[at - 1], knots[at]
        return y0 + (y1 - y0) * (log_odds - x0) / (x1 - x0)


def _partners(concepts: Mapping[str, float]) -> dict[str, tuple[float, dict[str, float]]]:
    out: dict[str, tuple[float, dict[str, float]]] = {}
    for name, weight in concepts.items():
        kind, _, rest = name.partition(":")
        if kind == "c":
            out[rest] = (weight, out.get(rest, (0.0, {}))[1])
        elif kind == "p":
            one, _, other = rest.partition("|")
            out.setdefault(one, (0.0, {}))[1][other] = weight
    return out


def decode_model(data: Any) -> Model:
    """The model in the JSON object `data`."""
    return Model(
        bias=data["bias"],
        concepts=dict(data["concepts"]),
        partners=_partners(data["concepts"]),
        words=dict(data["words"]),
        vocabulary=frozenset(data["words"]),
        rule_scale=data["rule_scale"],
        rule_cap=data["rule_cap"],
        knots={kind: tuple((x, y) for x, y in knots) for kind, knots in data["knots"].items()},
    )


@cache
def model() -> Model:
    """The model of `data/model.json`."""
    return decode_model(load_data("model"))
