"""Pattern rules: forged delimiters and chat templates, notes to an assistant, data-carrying links.

What concepts and their distance cannot say is matched here by regular expressions over the folded
text (`data/patterns.json`): RE2 syntax, bounded quantifiers, and each behind literals, one of which
must occur before the expression is tried at all.
Invariants: linear time; every rule names category, weight and taxonomy ids.
Sources of the families: OWASP LLM Top 10 (2025), MITRE ATLAS AML.T0051/53/54/56/57, public
write-ups of ChatML and Llama template forgery, markdown-image exfiltration and tool poisoning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from promptward.exchange import Source
from promptward.injection.folding import load_data


@dataclass(frozen=True, slots=True)
class PatternRule:
    """A regular expression with its gate.

    Attributes:
        id: stable rule id.
        category: attack family.
        gate: literals of the folded text; without one of them the pattern cannot match.
        pattern: expression over the folded text; None for what code finds itself.
        weight: 0..1, what the rule alone is worth as evidence.
        sources: names of the sources it applies to; empty means all.
        taxonomy: OWASP LLM and MITRE ATLAS ids.
    """

    id: str
    category: str
    gate: tuple[str, ...]
    pattern: re.Pattern[str] | None
    weight: float
    sources: frozenset[str]
    taxonomy: tuple[str, ...]


def _decode(entry: Mapping[str, Any]) -> PatternRule:
    return PatternRule(
        id=entry["id"],
        category=entry["category"],
        gate=tuple(entry.get("gate", ())),
        pattern=re.compile(entry["pattern"]) if "pattern" in entry else None,
        weight=entry["weight"],
        sources=frozenset(entry.get("sources", ())),
        taxonomy=tuple(entry["taxonomy"]),
    )


def _load(kind: str) -> tuple[PatternRule, ...]:
    entries = cast(list[Mapping[str, Any]], load_data("patterns")[kind])
    return tuple(_decode(entry) for entry in entries)


PATTERN_RULES: tuple[PatternRule, ...] = _load("patterns")
CODE_RULES: Mapping[str, PatternRule] = {rule.id: rule for rule in _load("codes")}


@cache
def _gated(source: Source) -> tuple[tuple[str, tuple[PatternRule, ...]], ...]:
    """(literal, rules it opens) for the rules that apply to `source`."""
    out: dict[str, list[PatternRule]] = {}
    for rule in PATTERN_RULES:
        if not rule.sources or source in rule.sources:
            for literal in rule.gate:
                out.setdefault(literal, []).append(rule)
    return tuple((literal, tuple(rules)) for literal, rules in out.items())


def matches(folded: str, source: Source) -> list[tuple[PatternRule, int, int]]:
    """The pattern rules that match `folded`, each with its first place."""
    open_rules: dict[str, PatternRule] = {}
    for literal, rules in _gated(source):
        if literal in folded:
            open_rules.update((rule.id, rule) for rule in rules)
    out = []
    for rule in open_rules.values():
        found = rule.pattern.search(folded) if rule.pattern else None
        if found:
            out.append((rule, found.start(), found.end()))
    return out
