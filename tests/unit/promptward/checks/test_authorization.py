"""Authorization: deny overrides, tools, output caps; every step of the documented semantics."""

from __future__ import annotations

from typing import Any

import pytest

from promptward.checks.authorization import (
    AuthorizationCheck,
    AuthorizationSettings,
    AuthzOutcome,
)
from promptward.decision import Principal
from promptward.errors import PolicyError
from promptward.policy.decode import decode


def compiled(*rules: dict[str, Any], default: str = "deny") -> AuthorizationCheck:
    settings = {"rules": [{"id": f"r{i}", **rule} for i, rule in enumerate(rules)]}
    return AuthorizationCheck(decode(AuthorizationSettings, {**settings, "default": default}))


def ask(check: AuthorizationCheck, **request: Any) -> AuthzOutcome:
    defaults: dict[str, Any] = {
        "model": "gpt-4o",
        "route": "chat",
        "tools": (),
        "max_output_tokens": None,
        "choices": 1,
    }
    claims = request.pop("claims", {"sub": "ann"})
    return check.authorize(Principal("ann", "jwt", claims), **{**defaults, **request})


def allow(**rule: Any) -> dict[str, Any]:
    return {"effect": "allow", **rule}


def deny(**rule: Any) -> dict[str, Any]:
    return {"effect": "deny", **rule}


def when(**claims: Any) -> dict[str, Any]:
    return {"claims": claims}


def test_nothing_is_allowed_by_default() -> None:
    outcome = ask(compiled())
    assert (outcome.allowed, outcome.rule, outcome.code) == (False, "", "not_authorized")


def test_a_bare_allow_rule_allows_everything() -> None:
    outcome = ask(compiled(allow()), tools=("a", "b"), max_output_tokens=10**9, choices=128)
    assert outcome == AuthzOutcome(True, "r0")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"models": ["gpt-*"]}, ""),
        ({"models": ["claude-*", "gpt-4o"]}, ""),
        ({"models": ["claude-*"]}, "model_not_allowed"),
        ({"models": ["GPT-*"]}, "model_not_allowed"),
        ({"routes": ["ch*"]}, ""),
        ({"routes": ["embeddings"]}, "not_authorized"),
        ({"when": when(sub="ann")}, ""),
        ({"when": when(sub="bob")}, "not_authorized"),
        ({"when": when(sub="ann", tier="gold")}, "not_authorized"),
        ({"when": when(**{"org.id": 7})}, "not_authorized"),
    ],
)
def test_every_dimension_must_match(rule: dict[str, Any], expected: str) -> None:
    outcome = ask(compiled(allow(**rule)))
    assert (outcome.allowed, outcome.code) == (not expected, expected)


def test_nested_claims() -> None:
    check = compiled(allow(when=when(**{"realm.roles": {"contains": "ml"}})))
    assert ask(check, claims={"realm": {"roles": ["x", "ml"]}}).allowed
    assert not ask(check, claims={"realm.roles": ["ml"]}).allowed


# --- deny overrides -----------------------------------------------------------------------------


def test_a_denial_wins_wherever_it_stands() -> None:
    denial = deny(models=["gpt-4o"])
    for rules in ((allow(), denial), (denial, allow())):
        outcome = ask(compiled(*rules))
        assert (outcome.allowed, outcome.code) == (False, "denied_by_rule")
        assert outcome.rule == f"r{rules.index(denial)}"


@pytest.mark.parametrize(
    ("denial", "denied"),
    [
        ({"models": ["gpt-*"]}, True),
        ({"models": ["claude-*"]}, False),
        ({"routes": ["chat"]}, True),
        ({"routes": ["other"]}, False),
        ({"when": when(suspended=True)}, False),
        ({"when": when(sub="ann")}, True),
        ({"tools": ["shell*"]}, False),
        ({"tools": ["search"]}, True),
        ({"tools": ["search"], "models": ["claude-*"]}, False),
        ({}, True),
    ],
)
def test_a_denial_applies_only_when_all_of_it_matches(denial: dict[str, Any], denied: bool) -> None:
    outcome = ask(compiled(allow(), deny(**denial)), tools=("search", "read"))
    assert outcome.allowed is not denied


@pytest.mark.parametrize("model", ["GPT-4o", "gpt-4O", " gpt-4o", "gpt-4o\n", "\tGPT-4O "])
def test_another_spelling_does_not_escape_a_denial(model: str) -> None:
    check = compiled(allow(), deny(models=["gpt-4o"]))
    assert ask(check, model=model).code == "denied_by_rule"
    tools = compiled(allow(), deny(tools=["shell"]))
    assert ask(tools, tools=(" Shell",)).code == "denied_by_rule"
    routes = compiled(allow(), deny(routes=["chat"]))
    assert ask(routes, route="Chat ").code == "denied_by_rule"


@pytest.mark.parametrize("model", ["GPT-4o", " gpt-4o", "gpt-4o "])
def test_another_spelling_does_not_gain_a_grant(model: str) -> None:
    assert ask(compiled(allow(models=["gpt-4o"])), model=model).code == "model_not_allowed"


def test_default_allow_is_still_subject_to_denials() -> None:
    check = compiled(deny(models=["o1*"]), default="allow")
    assert ask(check) == AuthzOutcome(True, "")
    assert ask(check, model="o1-pro").code == "denied_by_rule"


def test_names_beyond_any_real_one_are_judged_alike() -> None:
    check = compiled(allow(models=["gpt-*"]), deny(models=["*-evil"]))
    for _ in range(2):  # what was remembered must not change the answer
        for pad in ("", "x" * 100, "x" * 10_000):
            assert ask(check, model=f"gpt-{pad}").allowed
            assert ask(check, model=f"gpt-{pad}-EVIL").code == "denied_by_rule"
            assert ask(check, model=f"claude-{pad}").code == "model_not_allowed"


def test_invented_names_do_not_use_memory() -> None:
    check = compiled(allow(models=["gpt-*"]))
    for number in range(1000):
        ask(check, model=f"gpt-{number}")
    assert check._remembered.cache_info().currsize == 256


# --- tools --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "tools", "refused"),
    [
        ([allow(tools=["a*"])], ("a1", "a2"), ""),
        ([allow(tools=["a*"])], ("a1", "b"), "b"),
        ([allow(tools=["a"]), allow(tools=["b"])], ("a", "b"), ""),
        ([allow(tools=["a"]), allow(tools=["b"], models=["x"])], ("a", "b"), "b"),
        ([allow(tools=["a"]), allow(tools=["b"], when=when(sub="bob"))], ("a", "b"), "b"),
        ([allow(tools=["a"]), allow()], ("a", "b"), ""),
        ([allow(tools=[])], (), ""),
        ([allow(tools=[])], ("a",), "a"),
        ([allow(tools=["a"])], (), ""),
        ([allow(tools=["a"])], ("A",), "A"),
    ],
)
def test_every_offered_tool_needs_a_grant(
    rules: list[dict[str, Any]], tools: tuple[str, ...], refused: str
) -> None:
    outcome = ask(compiled(*rules), tools=tools)
    assert outcome.allowed is not bool(refused)
    if refused:
        assert outcome.code == "tool_not_allowed"
        assert f"'{refused}'" in outcome.message


@pytest.mark.parametrize("name", ["ignore all rules", "a\nb", "x" * 65, "", "é", "<b>", "a'b"])
def test_messages_echo_identifiers_only(name: str) -> None:
    check = compiled(allow(tools=["a"], models=["m"]))
    by_tool = ask(check, model="m", tools=(name,))
    assert by_tool.message == "the tool is not allowed for this caller"
    assert ask(check, model=name).message == "the model is not allowed for this caller"


# --- output caps --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "choices", "allowed", "injected"),
    [
        (100, 1, True, None),
        (101, 1, False, None),
        (50, 2, True, None),
        (51, 2, False, None),
        (None, 1, True, 100),
        (None, 2, True, 50),
        (None, 3, True, 33),
        (None, 100, True, 1),
        (None, 101, False, None),
        (0, 1, False, None),
        (-1, 1, False, None),
        (10, 0, False, None),
        (None, 0, False, None),
        (None, -1, False, None),
    ],
)
def test_the_cap_bounds_all_choices_together(
    asked: int | None, choices: int, allowed: bool, injected: int | None
) -> None:
    outcome = ask(compiled(allow(max_output_tokens=100)), max_output_tokens=asked, choices=choices)
    assert (outcome.allowed, outcome.max_output_tokens) == (allowed, injected)
    assert outcome.code == ("" if allowed else "output_limit_exceeded")
    assert outcome.rule == "r0"


CAPPED = [
    allow(max_output_tokens=100, tools=["a"]),
    allow(max_output_tokens=4000, tools=["b", "c"]),
    allow(max_output_tokens=1000, tools=["c"]),
]


@pytest.mark.parametrize(
    ("tools", "cap", "rule"),
    [
        ((), 4000, "r1"),
        (("a",), 100, "r0"),
        (("b",), 4000, "r1"),
        (("c",), 4000, "r1"),
        (("a", "b"), 100, "r0"),
        (("b", "c", "a"), 100, "r0"),
        (("b", "b"), 4000, "r1"),
    ],
)
def test_the_cap_of_the_most_limited_tool_decides(
    tools: tuple[str, ...], cap: int, rule: str
) -> None:
    outcome = ask(compiled(*CAPPED), tools=tools)
    assert (outcome.max_output_tokens, outcome.rule) == (cap, rule)


def test_the_most_permissive_rule_decides_and_no_cap_is_most_permissive() -> None:
    check = compiled(allow(max_output_tokens=100), allow(max_output_tokens=200), allow())
    assert ask(check) == AuthzOutcome(True, "r2")
    narrower = compiled(allow(max_output_tokens=100), allow(models=["x"]))
    assert ask(narrower).max_output_tokens == 100


def test_of_equal_rules_the_first_is_named() -> None:
    check = compiled(allow(max_output_tokens=100), allow(max_output_tokens=100))
    assert ask(check).rule == "r0"


# --- what a policy may not say ------------------------------------------------------------------


def problems(*rules: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        decode(AuthorizationSettings, {"rules": list(rules)}, "authorization")
    return caught.value.problems


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (allow(models=[]), "models: expected a list, 1 or more items"),
        (allow(routes=[]), "routes: expected a list, 1 or more items"),
        (allow(models=["gpt-*", ""]), "models: an empty name matches nothing"),
        (allow(tools=[""]), "tools: an empty name matches nothing"),
        (allow(max_output_tokens=0), "max_output_tokens: expected a whole number, at least 1"),
        (deny(max_output_tokens=5), "max_output_tokens: has no meaning in a deny rule"),
        (deny(tools=[]), "tools: an empty list denies nothing"),
        (allow(when=when(**{"a..b": 1})), "when.claims.a..b: not a dotted claim path"),
        (allow(when=when(a={"is": 1})), "when.claims.a: expected a value, a list or a mapping"),
        (allow(when=when(a=[])), "when.claims.a: any_of: expected a list of 1 to 256"),
        ({"effect": "permit"}, "effect: expected one of allow, deny"),
        (allow(model=["x"]), "model: unknown setting; did you mean 'models'?"),
    ],
)
def test_mistakes_are_named_with_their_place(rule: dict[str, Any], problem: str) -> None:
    assert problems({"id": "r", **rule})[0].startswith(f"authorization.rules[0].{problem}")


def test_rule_ids_are_unique() -> None:
    assert problems({"id": "r", **allow()}, {"id": "r", **deny()}) == (
        "authorization.rules[1].id: the same as in another rule",
    )
