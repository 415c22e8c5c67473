"""Every kind of check can be built, and switched off."""

from __future__ import annotations

import pytest

from promptward.checks.registry import CheckSettings, build_check
from promptward.policy import load_policy
from promptward.testing.fakes import policy_with

KINDS = ("prompt_injection", "pii", "output")


def settings_of(kind: str, **settings: str) -> CheckSettings:
    text = policy_with(checks=[{"id": "x", "type": kind, **settings}])
    return load_policy(text).spec.checks[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_built(kind: str) -> None:
    check = build_check(settings_of(kind), 1024)
    assert check is not None
    assert check.id == "x"
    assert check.phases
    assert build_check(settings_of(kind, mode="off"), 1024) is None
