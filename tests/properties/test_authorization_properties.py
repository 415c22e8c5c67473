"""Laws of authorization, for arbitrary rule sets and requests."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from promptward.checks.authorization import (
    AuthorizationCheck,
    AuthorizationCondition,
    AuthorizationRule,
    AuthorizationSettings,
    AuthzOutcome,
)
from promptward.decision import Principal

names = st.sampled_from(["a", "b", "A"])
globs = st.sampled_from(["a", "b", "*", "a*", "?"])


def some(items: st.SearchStrategy[str], smallest: int = 1) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(items, min_size=smallest, max_size=2).map(tuple)


@st.composite
def rules(draw: st.DrawFn, effects: tuple[str, ...] = ("allow", "deny")) -> AuthorizationRule:
    effect = draw(st.sampled_from(effects))
    allows = effect == "allow"
    return AuthorizationRule(
        id=draw(st.uuids()).hex,
        effect=effect,  # type: ignore[arg-type]
        when=AuthorizationCondition(
            draw(st.dictionaries(st.just("tier"), st.sampled_from(["gold", "free"]), max_size=1))
        ),
        models=draw(some(globs)),
        routes=draw(some(globs)),
        tools=draw(some(globs, 0 if allows else 1)),
        max_output_tokens=draw(st.none() | st.integers(1, 300)) if allows else None,
    )


requests = st.fixed_dictionaries(
    {
        "model": names,
        "route": names,
        "tools": st.lists(names, max_size=3).map(tuple),
        "max_output_tokens": st.none() | st.integers(-1, 400),
        "choices": st.integers(0, 4),
    }
)
callers = st.sampled_from(["gold", "free", None]).map(
    lambda tier: Principal("ann", "jwt", {"tier": tier})
)
rule_sets = st.lists(rules(), max_size=5)


def ask(
    rule_set: list[AuthorizationRule], caller: Principal, request: dict[str, Any]
) -> AuthzOutcome:
    check = AuthorizationCheck(AuthorizationSettings(rules=tuple(rule_set)))
    return check.authorize(caller, **request)


@given(rule_sets, callers, requests, st.randoms(use_true_random=False))
def test_the_order_of_rules_does_not_matter(
    rule_set: list[AuthorizationRule], caller: Principal, request: dict[str, Any], order: Any
) -> None:
    shuffled = rule_set.copy()
    order.shuffle(shuffled)
    first, second = ask(rule_set, caller, request), ask(shuffled, caller, request)
    assert (first.allowed, first.code, first.max_output_tokens) == (
        second.allowed,
        second.code,
        second.max_output_tokens,
    )


@given(rule_sets, rules(effects=("deny",)), callers, requests)
def test_one_more_denial_never_grants_anything(
    rule_set: list[AuthorizationRule],
    denial: AuthorizationRule,
    caller: Principal,
    request: dict[str, Any],
) -> None:
    if ask([*rule_set, denial], caller, request).allowed:
        assert ask(rule_set, caller, request).allowed


@given(rule_sets, rules(effects=("allow",)), callers, requests)
def test_one_more_grant_never_takes_anything_away(
    rule_set: list[AuthorizationRule],
    grant: AuthorizationRule,
    caller: Principal,
    request: dict[str, Any],
) -> None:
    before, after = ask(rule_set, caller, request), ask([*rule_set, grant], caller, request)
    if before.allowed:
        assert after.allowed
        if before.max_output_tokens is None:
            assert after.max_output_tokens is None
        elif after.max_output_tokens is not None:
            assert after.max_output_tokens >= before.max_output_tokens


@given(rule_sets, callers, requests)
def test_what_is_allowed_respects_every_applicable_cap(
    rule_set: list[AuthorizationRule], caller: Principal, request: dict[str, Any]
) -> None:
    outcome = ask(rule_set, caller, request)
    caps = [r.max_output_tokens for r in rule_set if r.effect == "allow"]
    if outcome.allowed and None not in caps:
        asked = request["max_output_tokens"]
        per_choice = asked if asked is not None else outcome.max_output_tokens
        assert per_choice is not None
        assert 1 <= per_choice * request["choices"] <= max(c for c in caps if c is not None)


@given(rule_sets, callers, requests)
def test_fewer_tools_never_hurt(
    rule_set: list[AuthorizationRule], caller: Principal, request: dict[str, Any]
) -> None:
    if ask(rule_set, caller, request).allowed:
        assert ask(rule_set, caller, {**request, "tools": request["tools"][:-1]}).allowed
