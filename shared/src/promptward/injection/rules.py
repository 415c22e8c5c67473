"""Detection rules as data: which concepts must stand close together, and what that is worth.

Invariants: every rule names its category, weight and taxonomy ids; matching is linear.
"""

from __future__ import annotations

from dataclasses import dataclass

from promptward.injection.folding import load_data


@dataclass(frozen=True, slots=True)
class Rule:
    """Concepts that must all occur within `window` words of the first.

    Attributes:
        id: stable rule id.
        category: attack family.
        concepts: concept names, the rarest first.
        window: distance in words.
        weight: 0..1.
        sources: names of the sources it applies to; empty means all.
        taxonomy: OWASP and ATLAS ids.
    """

    id: str
    category: str
    concepts: tuple[str, ...]
    window: int
    weight: float
    sources: tuple[str, ...]
    taxonomy: tuple[str, ...]


def _load() -> tuple[Rule, ...]:
    rules = load_data("rules")["rules"]
    assert isinstance(rules, list)
    return tuple(
        Rule(
            r["id"],
            r["category"],
            tuple(r["concepts"]),
            r["window"],
            r["weight"],
            tuple(r.get("sources", ())),
            tuple(r["taxonomy"]),
        )
        for r in rules
    )


RULES = _load()
