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
from typing import Any, NamedTuple, cast

from promptward.exchange import Source
from promptward.injection.anchored import Anchored
from promptward.injection.folding import load_data
from promptward.injection.lexicon import GATE_MARK
from promptward.injection.reported import reported
from promptward.injection.retold import changes


@dataclass(frozen=True, slots=True)
class PatternRule:
    """A regular expression with its gates; one of phrases, words and openers is always set.

    Attributes:
        id: stable rule id.
        category: attack family.
        phrases: lexicon entries, one of which must occur (looked up with the lexicon's own; those
            of the data's `abroad` are not English).
        openers: marks, one of which must occur (`<`, `@`).
        words: words, one of which must occur (looked up for all rules at once).
        also: further words, one of which must occur too; empty means none needs to.
        gate: literals of the folded text, one of which must occur; empty means none needs to.
        quotable: whether it is silent where attacks are spoken about (`reported`).
        pattern: expression over the folded text, searched where its literals stand; None for what
            code finds itself.
        weight: 0..1, what the rule alone is worth as evidence.
        sources: names of the sources it applies to; empty means all.
        taxonomy: OWASP LLM and MITRE ATLAS ids.
    """

    id: str
    category: str
    phrases: str
    openers: tuple[str, ...]
    words: frozenset[str]
    also: frozenset[str]
    gate: tuple[str, ...]
    quotable: bool
    pattern: Anchored | None
    weight: float
    sources: frozenset[str]
    taxonomy: tuple[str, ...]


PatternHit = tuple[PatternRule, int, int]  # a rule and where it matched


def _decode(entry: Mapping[str, Any]) -> PatternRule:
    return PatternRule(
        id=entry["id"],
        category=entry["category"],
        phrases=entry.get("phrases", "") or entry.get("abroad", ""),
        openers=tuple(entry.get("openers", ())),
        words=frozenset(entry.get("words", ())),
        also=frozenset(entry.get("also", ())),
        gate=tuple(entry.get("gate", ())),
        quotable=entry.get("quotable", False),
        pattern=Anchored(entry["pattern"]) if "pattern" in entry else None,
        weight=entry["weight"],
        sources=frozenset(entry.get("sources", ())),
        taxonomy=tuple(entry["taxonomy"]),
    )


def _load(kind: str) -> tuple[PatternRule, ...]:
    entries = cast(list[Mapping[str, Any]], load_data("patterns")[kind])
    return tuple(_decode(entry) for entry in entries)


PATTERN_RULES: tuple[PatternRule, ...] = _load("patterns")
CODE_RULES: Mapping[str, PatternRule] = {rule.id: rule for rule in _load("codes")}


@dataclass(frozen=True, slots=True)
class _Gates:
    """The rules of one source, their numbers by what may open them, and their gates' literals."""

    rules: tuple[PatternRule, ...]
    by_mark: Mapping[str, int]
    by_word: Mapping[str, tuple[int, ...]]
    words: frozenset[str]
    by_opener: tuple[tuple[str, tuple[tuple[str, tuple[int, ...]], ...]], ...]
    literals: tuple[tuple[tuple[str, tuple[str, ...]], ...], ...]


@cache
def _gates(source: Source) -> _Gates:
    applying = (r for r in PATTERN_RULES if not r.sources or source in r.sources)
    rules = tuple(sorted(applying, key=lambda rule: rule.id))
    by_word: dict[str, list[int]] = {}
    by_opener: dict[str, list[int]] = {}
    for number, rule in enumerate(rules):
        for word in rule.words:
            by_word.setdefault(word, []).append(number)
        for opener in rule.openers:
            by_opener.setdefault(opener, []).append(number)
    openers = _by_first(tuple(sorted(by_opener)))
    return _Gates(
        rules,
        {GATE_MARK + rule.id: number for number, rule in enumerate(rules) if rule.phrases},
        {word: tuple(found) for word, found in by_word.items()},
        frozenset(by_word),
        tuple((first, tuple((o, tuple(by_opener[o])) for o in some)) for first, some in openers),
        tuple(_by_first(rule.gate) for rule in rules),
    )


def _by_first(literals: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The literals by their first character, which is found far quicker than more."""
    firsts = sorted({literal[0] for literal in literals})
    return tuple((one, tuple(li for li in literals if li[0] == one)) for one in firsts)


def _any_in(literals: tuple[tuple[str, tuple[str, ...]], ...], text: str) -> bool:
    """Whether one of `literals`, given `_by_first`, stands in `text`."""
    for first, some in literals:
        if first in text:
            for literal in some:
                if literal in text:
                    return True
    return False


class Searched(NamedTuple):
    """A text in which pattern rules were looked for.

    Attributes:
        text: the folded text.
        found: number of each rule that was looked for → its first place, None where there is none.
        hits: the rules that match, each with its first place; none that is only reported.
    """

    text: str
    found: Mapping[int, tuple[int, int] | None]
    hits: list[PatternHit]


def matches(
    folded: str, words: frozenset[str], marked: frozenset[str], source: Source
) -> list[PatternHit]:
    """The pattern rules that match `folded`, each with its first place; see `search`."""
    return search(folded, words, marked, source).hits


def search(
    folded: str,
    words: frozenset[str],
    marked: frozenset[str],
    source: Source,
    earlier: Searched | None = None,
) -> Searched:
    """The pattern rules that match `folded`.

    Args:
        folded: the folded text of a view.
        words: its distinct words.
        marked: the gate marks the lexicon found in it.
        source: where the text came from.
        earlier: a text that was searched before and may hold much of this one.
    """
    gates = _gates(source)
    by_mark = gates.by_mark
    opened = {by_mark[mark] for mark in marked if mark in by_mark}
    for first, openers in gates.by_opener:
        if first in folded:
            for opener, numbers in openers:
                if opener in folded:
                    opened.update(numbers)
    for word in gates.words & words:
        opened.update(gates.by_word[word])
    found: dict[int, tuple[int, int] | None] = {}
    hits: list[PatternHit] = []
    changed: list[tuple[int, int]] | None = None
    for number in sorted(opened):
        rule = gates.rules[number]
        if rule.also and rule.also.isdisjoint(words):
            continue
        if rule.pattern and (not rule.gate or _any_in(gates.literals[number], folded)):
            if earlier and number in earlier.found:
                if changed is None:
                    changed = changes(folded, earlier.text)
                place = _again(rule.pattern, folded, changed, earlier.found[number])
            else:
                place = _place(rule.pattern.search(folded))
            found[number] = place
            if place and not (rule.quotable and reported(folded, place[0])):
                hits.append((rule, *place))
    return Searched(folded, found, hits)


def _place(match: re.Match[str] | None) -> tuple[int, int] | None:
    return match.span() if match else None


def _again(
    pattern: Anchored, text: str, changed: list[tuple[int, int]], before: tuple[int, int] | None
) -> tuple[int, int] | None:
    """The first match in `text`, given where it differs from one whose first match is `before`."""
    if before is None:
        return _place(pattern.search(text, changed))
    if not changed or before[0] + pattern.reach < changed[0][0]:
        return before
    return _place(pattern.search(text))
