"""What is charged when an exchange ends in each possible way."""

from __future__ import annotations

import pytest

from promptward.checks.token_budget import BudgetSettings
from promptward.engine.settlement import Delivered, charge_disconnect, charge_usage
from promptward.llm import Usage
from promptward.policy.decode import decode

REAL = Usage(100, 50)


def budget(**data: str) -> BudgetSettings:
    return decode(BudgetSettings, {"id": "b", "limit": 1, **data})


@pytest.mark.parametrize(
    ("on_missing_usage", "usage", "charged"),
    [
        ("charge_estimate", REAL, REAL),
        ("charge_estimate", None, None),
        ("release", REAL, REAL),
        ("release", None, Usage(0, 0)),
    ],
)
def test_finished(on_missing_usage: str, usage: Usage | None, charged: Usage | None) -> None:
    assert charge_usage(usage)(budget(on_missing_usage=on_missing_usage)) == charged


@pytest.mark.parametrize(
    ("on_disconnect", "usage", "charged"),
    [
        ("charge_estimate", None, None),
        ("charge_delivered", None, Usage(9, 3)),
        ("release", None, Usage(0, 0)),
        ("release", REAL, REAL),
        ("charge_delivered", REAL, REAL),
    ],
)
def test_broken_off(on_disconnect: str, usage: Usage | None, charged: Usage | None) -> None:
    charge = charge_disconnect(usage, 9, Delivered(output_chars=11))
    assert charge(budget(on_disconnect=on_disconnect)) == charged
