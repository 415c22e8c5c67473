"""Concept rules: which concepts must stand close together, and what that is worth.

Rules are data (`data/rules.json`), every one with category, weight and taxonomy ids, and hold in
every language of the lexicon. Matching is shifts and ands over bit masks: linear in the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, cast

from promptward.injection.folding import load_data
from promptward.injection.lexicon import Masks


@dataclass(frozen=True, slots=True)
class Rule:
    """Concepts that must stand within `window` words of an anchor.

    Attributes:
        id: stable rule id.
        category: attack family.
        anchor: the concept every distance is measured from.
        near: concepts that must stand within `window` words of the anchor, on either side.
        after: concepts that must follow the anchor within `window` words.
        unless: concepts that must not stand near the anchor (`_UNLESS_REACH`), nor be what it
            means too.
        window: distance in words.
        weight: 0..1, what the rule alone is worth as evidence.
        sources: names of the sources it applies to; empty means all.
        taxonomy: OWASP LLM and MITRE ATLAS ids.
        needs: the concepts without which the rule cannot fire: its gate.
    """

    id: str
    category: str
    anchor: str
    near: tuple[str, ...]
    after: tuple[str, ...]
    unless: tuple[str, ...]
    window: int
    weight: float
    sources: frozenset[str]
    taxonomy: tuple[str, ...]
    needs: frozenset[str]


# A concept of `unless` silences a rule whose anchor follows within so many words, or stands before
# it within so many: who speaks about attacks ("users who write ...") or about others who are told
# something ("soldiers") mostly says so first, and what follows an attack must not excuse it.
_UNLESS_REACH = {"REPORTED": (16, 3), "OTHERS": (6, 3), "NOTIGNORE": (1, 0)}
_UNLESS_WINDOW = (3, 3)


@cache
def _steps(count: int) -> tuple[int, ...]:
    """Shifts that together move a mask by 0..`count` - 1 words: 1, 2, 4 and so on."""
    steps: list[int] = []
    while sum(steps) + 1 < count:
        steps.append(min(sum(steps) + 1, count - sum(steps) - 1))
    return tuple(steps)


def _spread(mask: int, count: int) -> int:
    """`mask` moved right by 0..`count` - 1 words, all at once (in log steps)."""
    for step in _steps(count):
        mask |= mask << step
    return mask


def following(mask: int, count: int) -> int:
    """`mask` moved right by 1..`count` words."""
    return _spread(mask, count) << 1


def preceding(mask: int, count: int) -> int:
    """`mask` moved left by 1..`count` words."""
    return _spread(mask, count) >> count


def around(mask: int, count: int) -> int:
    """The words within `count` words of a word of `mask`, that word itself excluded."""
    spread = _spread(mask, count)
    return spread << 1 | spread >> count


class Matcher:
    """Matches rules against the concept masks of one text, sharing the widened masks.

    Args:
        masks: concept → places.
    """

    __slots__ = ("_masks", "_wide")

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._wide: dict[tuple[str, int], int] = {}

    def _around(self, concept: str, window: int) -> int:
        key = (concept, window)
        found = self._wide.get(key)
        if found is None:
            found = self._wide[key] = around(self._masks[concept], window)
        return found

    def anchors(self, rule: Rule) -> int:
        """The places of `rule`'s anchor at which it fires, as a mask."""
        at = self._masks[rule.anchor]
        for concept in rule.near:
            at &= self._around(concept, rule.window)
            if not at:
                return 0
        for concept in rule.after:
            # the anchor stands before: some word of the concept follows within the window
            at &= preceding(self._masks[concept], rule.window)
            if not at:
                return 0
        for concept in rule.unless:
            if concept in self._masks:
                mask = self._masks[concept]
                after, before = _UNLESS_REACH.get(concept, _UNLESS_WINDOW)
                at &= ~(mask | following(mask, after) | preceding(mask, before))
        return at


def _decode(entry: Mapping[str, Any]) -> Rule:
    return Rule(
        id=entry["id"],
        category=entry["category"],
        anchor=entry["anchor"],
        near=tuple(entry.get("near", ())),
        after=tuple(entry.get("after", ())),
        unless=tuple(entry.get("unless", ())),
        window=entry["window"],
        weight=entry["weight"],
        sources=frozenset(entry.get("sources", ())),
        taxonomy=tuple(entry["taxonomy"]),
        needs=frozenset((entry["anchor"], *entry.get("near", ()), *entry.get("after", ()))),
    )


CONCEPT_RULES: tuple[Rule, ...] = tuple(
    _decode(entry) for entry in cast(list[Mapping[str, Any]], load_data("rules")["rules"])
)
LONGEST_REACH = max(  # words
    *chain.from_iterable(_UNLESS_REACH.values()),
    *(rule.window for rule in CONCEPT_RULES),
)
