"""Multi-turn build-up: several mild pushes in one conversation add up.

Source: "Crescendo" (Russinovich et al., 2024): each turn alone looks harmless, the sequence does
not.
Invariants: a turn never scores less than on its own; turns of the operator and of the model itself
add no evidence; linear in the number of turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

from promptward.exchange import Source
from promptward.injection.patterns import CODE_RULES
from promptward.injection.result import InjectionHit, InjectionResult

# Scores below this are ordinary text and add nothing (the calibration puts 90 % of it below 0.2).
FLOOR = 0.2
DECAY = 0.8  # how much of the earlier evidence is left a turn later
CATEGORIES_WEIGHT = 0.15  # added score for each attack family beyond the first seen so far
CEILING = 0.95  # build-up alone never makes a turn certain
COUNTED = frozenset({Source.USER, Source.TOOL_RESULT, Source.DOCUMENT, Source.TOOL_ARGUMENTS})


def folded_scores(
    turns: Sequence[tuple[Source, InjectionResult]],
) -> tuple[InjectionResult, ...]:
    """The results of `turns` with earlier turns' evidence folded into the later scores."""
    out: list[InjectionResult] = []
    carried = 0.0
    families: set[str] = set()
    for source, result in turns:
        if source not in COUNTED:
            out.append(result)
            continue
        own = max(0.0, -log(1.0 - min(result.score, 0.999)) + log(1.0 - FLOOR))
        seen = families | {hit.category for hit in result.hits}
        raised = result.score
        if carried and own:
            joint = 1.0 - (1.0 - result.score) * exp(-DECAY * carried)
            joint += CATEGORIES_WEIGHT * max(0, len(seen) - 1) if result.hits else 0.0
            raised = max(result.score, min(CEILING, joint))
        families = seen
        carried = DECAY * carried + own
        out.append(_raised(result, raised))
    return tuple(out)


def _raised(result: InjectionResult, score: float) -> InjectionResult:
    if score <= result.score:
        return result
    rule = CODE_RULES["multi_turn.build_up"]
    hit = InjectionHit(rule.id, rule.category, 0, 0, rule.weight, rule.taxonomy)
    return InjectionResult(round(score, 6), (*result.hits, hit))
