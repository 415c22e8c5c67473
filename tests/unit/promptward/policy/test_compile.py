"""What is decided once, when the policy is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from promptward.checks.content import Phase
from promptward.errors import PolicyError
from promptward.policy import CompiledPolicy, load_policy
from promptward.testing.fakes import policy_with

PSEUDONYMS = {
    "id": "p",
    "type": "pii",
    "entities": [{"type": "EMAIL_ADDRESS", "action": "pseudonymize"}],
}
INJECTION = {"id": "i", "type": "prompt_injection"}


def compiled(**spec: Any) -> CompiledPolicy:
    return load_policy(policy_with(**spec))


def test_checks_run_in_the_phases_they_name() -> None:
    policy = compiled(checks=[INJECTION, {**PSEUDONYMS, "phase": ["request"], "restore": False}])
    assert [c.id for c in policy.request_checks] == ["i", "p"]
    assert policy.response_checks == ()
    assert not policy.reads_responses


@pytest.mark.parametrize(
    ("check", "restores"),
    [
        (PSEUDONYMS, True),
        ({**PSEUDONYMS, "phase": ["request"]}, True),
        ({**PSEUDONYMS, "restore": False}, False),
        ({**PSEUDONYMS, "mode": "shadow"}, False),
    ],
)
def test_restoring_comes_last_and_only_when_there_is_something_to_restore(
    check: dict[str, Any], restores: bool
) -> None:
    policy = compiled(checks=[check, {"id": "o", "type": "output"}])
    ids = [c.id for c in policy.response_checks]
    assert (ids[-1] == "") is restores
    assert all(Phase.RESPONSE in c.phases for c in policy.response_checks)


def test_the_mode_of_the_policy_can_only_weaken() -> None:
    assert compiled(mode="off", checks=[INJECTION]).request_checks == ()
    assert compiled(mode="off", budgets=[{"id": "b", "limit": 1}]).budgets == {}
    shadow = compiled(mode="shadow", budgets=[{"id": "b", "limit": 1}])
    assert shadow.budgets["b"].soft
    assert compiled(mode="shadow", checks=[{**INJECTION, "mode": "off"}]).request_checks == ()


def test_only_enforced_budgets_are_shown() -> None:
    policy = compiled(
        budgets=[{"id": "hard", "limit": 1}, {"id": "soft", "limit": 1, "on_exceed": "flag"}]
    )
    assert policy.visible_windows == {"hard": 3600}
    assert policy.settles_from_usage
    assert not compiled(budgets=[{"id": "b", "limit": 1, "unit": "requests"}]).settles_from_usage


NAMES = {"url": "http://analyzer.test", "entities": [{"type": "PERSON"}]}
NAMED = {"id": "p", "type": "pii", "classifier": NAMES}


def test_what_is_asked_of_classifiers_is_known_when_the_policy_loads() -> None:
    (query,) = compiled(checks=[INJECTION, NAMED]).classifier_queries
    assert (query.url, query.entities) == ("http://analyzer.test", ("PERSON",))
    assert compiled(checks=[{**NAMED, "mode": "off"}]).classifier_queries == ()
    assert compiled(mode="off", checks=[NAMED]).classifier_queries == ()


@pytest.mark.parametrize(
    ("mode", "phase", "refused"),
    [
        ("window", ["request", "response"], True),
        ("window", "request", False),
        ("buffer", "response", False),
        ("passthrough", "response", False),
    ],
)
def test_a_classifier_of_answers_needs_them_whole(mode: str, phase: Any, refused: bool) -> None:
    spec = {
        "checks": [{**NAMED, "classifier": NAMES | {"phase": phase}}],
        "streaming": {"mode": mode},
    }
    if not refused:
        assert compiled(**spec).classifier_queries
        return
    with pytest.raises(
        PolicyError, match=r"spec.checks\[0\].classifier.phase: response needs whole"
    ):
        compiled(**spec)
