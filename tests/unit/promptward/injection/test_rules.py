"""Concept rules: distances, order, gates; and the sanity of the shipped data."""

from __future__ import annotations

import pytest

from promptward.exchange import Source
from promptward.injection import RULES
from promptward.injection.folding import load_data
from promptward.injection.rules import (
    CONCEPT_RULES,
    Matcher,
    Rule,
    around,
    following,
    preceding,
)


def rule(**changes: object) -> Rule:
    fields: dict[str, object] = {
        "id": "t", "category": "c", "anchor": "A", "near": ("B",), "after": (), "unless": (),
        "window": 3, "weight": 0.5, "sources": frozenset(), "taxonomy": ("LLM01",),
        "needs": frozenset("AB"),
    }  # fmt: skip
    return Rule(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_widening_is_the_union_of_single_steps(count: int) -> None:
    mask = 0b1000_0001_0000_0000_0000_1000
    right = left = 0
    for step in range(1, count + 1):
        right |= mask << step
        left |= mask >> step
    assert following(mask, count) == right
    assert preceding(mask, count) == left
    assert around(mask, count) == right | left


@pytest.mark.parametrize(
    ("masks", "fires"),
    [
        ({"A": 0b1, "B": 0b1000}, True),
        ({"A": 0b1, "B": 0b10000}, False),
        ({"A": 0b1000, "B": 0b1}, True),
        ({"A": 0b1, "B": 0b1}, False),  # the same word is not two
    ],
)
def test_near(masks: dict[str, int], fires: bool) -> None:
    assert bool(Matcher(masks).anchors(rule())) is fires


def test_after_asks_for_the_order() -> None:
    ordered = rule(near=(), after=("B",))
    assert Matcher({"A": 0b1, "B": 0b100}).anchors(ordered) == 0b1
    assert Matcher({"A": 0b100, "B": 0b1}).anchors(ordered) == 0


def test_unless_silences() -> None:
    masks = {"A": 0b1, "B": 0b10, "N": 0b100}
    assert Matcher(masks).anchors(rule(unless=("N",))) == 0
    assert Matcher(masks).anchors(rule(unless=("M",))) == 0b1


def test_shipped_rules_are_sound() -> None:
    ids = [r.id for r in RULES]
    assert len(ids) == len(set(ids))
    known = set(load_data("lexicon"))
    sources = {s.value for s in Source}
    for r in RULES:
        assert 0 < r.weight < 1
        assert r.taxonomy
        assert set(r.sources) <= sources
    for concept_rule in CONCEPT_RULES:
        assert concept_rule.needs <= known, concept_rule.id


def test_every_family_of_the_taxonomy_has_rules() -> None:
    assert {
        "instruction_override", "jailbreak", "system_prompt_leak", "delimiter_forgery", "encoding",
        "indirect_injection", "tool_hijack", "data_exfiltration", "multi_turn", "many_shot",
    } == {r.category for r in RULES}  # fmt: skip
