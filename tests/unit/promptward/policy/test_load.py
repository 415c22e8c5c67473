"""From text to a compiled policy: YAML 1.2, no surprises, secrets from outside."""

from __future__ import annotations

import hashlib
import json

import pytest
import yaml

from promptward.checks.content import Mode
from promptward.errors import PolicyError
from promptward.policy import load_policy
from promptward.policy.load import MAX_POLICY_BYTES, UnparsableError
from promptward.testing.fakes import POLICY, policy_with


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        load_policy(text)
    return caught.value.problems


def test_json_and_yaml_are_the_same_policy() -> None:
    from_json = load_policy(json.dumps(POLICY))
    from_yaml = load_policy(yaml.safe_dump(POLICY))
    assert from_json.model == from_yaml.model


COST = {"id": "cost", "unit": "cost_usd", "limit": 1.0}
ALL = {"rules": [{"id": "all", "effect": "allow"}]}
PRICED = {"model": "*", "input_per_million": 1.0, "output_per_million": 2.0}


def authorized(*models: str) -> dict[str, object]:
    return {"rules": [{"id": "some", "effect": "allow", "models": list(models)}]}


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"authorization": ALL}, "*"),
        ({"authorization": {"default": "allow"}}, "*"),
        ({"authorization": authorized("gpt-4o")}, "gpt-4o"),
        ({"authorization": authorized("gpt-4o", "own"), "price_table": "2026-11-23"}, "own"),
        ({"authorization": authorized("gpt-4o*"), "price_table": "2026-11-23"}, "gpt-4o*"),
        (
            {"authorization": authorized(*(f"m{n}" for n in range(9)))},
            "m0, m1, m2, m3, m4, m5, m6, m7, …",
        ),
    ],
)
def test_a_cost_budget_refuses_a_policy_whose_models_may_have_no_price(
    spec: dict[str, object], named: str
) -> None:
    (problem,) = problems_of(
        json.dumps(POLICY | {"spec": POLICY["spec"] | {"budgets": [COST]} | spec})
    )
    assert problem.startswith("spec.budgets[0].models: callers may use models that may have no")
    assert f"no price: {named}; name models" in problem


@pytest.mark.parametrize(
    "spec",
    [
        {"authorization": authorized("gpt-4o", "o4-mini"), "price_table": "2026-11-23"},
        {"authorization": ALL, "prices": [PRICED]},
        {"authorization": ALL, "on_unknown_model": "block"},
        {"authorization": ALL, "on_unknown_model": "allow"},
        {"authorization": ALL, "mode": "shadow"},
        {"authorization": ALL, "budgets": [COST | {"mode": "shadow"}]},
        {"authorization": {}},
    ],
)
def test_a_cost_budget_takes_policies_whose_models_have_prices(spec: dict[str, object]) -> None:
    policy_with(**{"budgets": [COST], **spec})


def test_only_known_price_tables_can_be_named() -> None:
    (problem,) = problems_of(json.dumps(POLICY | {"spec": POLICY["spec"] | {"price_table": "now"}}))
    assert "spec.price_table" in problem
    assert "2026-11-23" in problem


def test_the_reference_names_the_text() -> None:
    text = json.dumps(POLICY)
    policy = load_policy(text)
    assert policy.ref.name == "test"
    assert policy.ref.version == 1
    assert policy.ref.sha256 == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("mode", ["off", "shadow", "enforce"])
def test_words_of_yaml_1_1_are_words(mode: str) -> None:
    text = yaml.safe_dump(POLICY).replace("spec:", f"spec:\n  mode: {mode}")
    assert load_policy(text).spec.mode is Mode(mode)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "line 1, column 5"),
        ("a: 1\na: 2", "line 2, column 1: 'a' is given twice"),
        ("a: &x 1\nb: *x", "line 2, column 4: aliases are not allowed in a policy"),
        ("a: !!python/object:os.system x", "line 1, column 4: tags are not allowed in a policy"),
        # PyYAML's own constructors raise anything for these, not only errors about YAML
        ("a: !!int abc", "line 1, column 4: tags are not allowed in a policy"),
        ("a: !!timestamp abc", "line 1, column 4: tags are not allowed in a policy"),
        ("!!bool abc: 1", "line 1, column 1: tags are not allowed in a policy"),
        ("a: !!set {b}", "line 1, column 4: tags are not allowed in a policy"),
        ("\x00", "the document: not valid YAML"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_document(text: str, problem: str) -> None:
    with pytest.raises(UnparsableError, match=None) as caught:
        load_policy(text)
    assert problem in str(caught.value)


def test_depth_and_size_are_bounded() -> None:
    assert (
        "nested deeper than" in problems_of(json.dumps({"a": json.loads("[" * 40 + "]" * 40)}))[0]
    )
    assert "larger than" in problems_of("a: " + "x" * MAX_POLICY_BYTES)[0]


def test_secrets_come_from_outside_and_must_be_there() -> None:
    issuer = {"issuer": "https://i.test", "audience": ["a"], "secret": "${HMAC_KEY}"}
    text = policy_with(identity={"jwt": [issuer]})
    key = "k" * 40
    policy = load_policy(text, {"HMAC_KEY": key}.get)
    assert policy.spec.identity.jwt[0].secret == key
    assert policy.ref.sha256 == hashlib.sha256(text.encode()).hexdigest()
    for missing in (None, ""):
        with pytest.raises(PolicyError) as caught:
            load_policy(text, lambda name, value=missing: value)
        assert caught.value.problems == (
            "spec.identity.jwt[0].secret: the secret HMAC_KEY is not set (or is empty)",
        )


def test_problems_of_parts_that_compile_have_paths() -> None:
    recognizer = {"id": "r", "entity": "BADGE", "pattern": "(a+)+"}
    check = {"id": "p", "type": "pii", "entities": [{"type": "BADGE"}], "recognizers": [recognizer]}
    assert problems_of(policy_with(checks=[check]))[0].startswith(
        "spec.checks[0].recognizers[0].pattern:"
    )


def test_ids_are_used_once_and_tenants_are_in_every_budget() -> None:
    budget = {"id": "b", "limit": 1}
    problems = problems_of(policy_with(budgets=[budget, budget], budget_tenant="claim.org"))
    assert "spec.budgets[1].id: 'b' is used twice" in problems
    assert any(p.startswith("spec.budgets[0].partition_by: must contain") for p in problems)
