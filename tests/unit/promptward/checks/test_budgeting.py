"""Which lines a request draws, and what they settle to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptward.checks.budgeting import (
    EXACT_CHARS,
    Budget,
    Partition,
    amount_of,
    count_text_tokens,
    plan_reservation,
    release_request,
    settle_request,
)
from promptward.checks.content import Mode
from promptward.checks.token_budget import BudgetSettings
from promptward.decision import PolicyRef, Principal, Ticket
from promptward.exchange import Source
from promptward.llm import LlmRequest, OpaquePart, Part, Usage
from promptward.policy.decode import decode
from promptward.pricing import PriceSettings, PriceTable

ANN = Principal("ann", "jwt", {"sub": "ann", "org": {"id": "acme|=%"}, "tier": "gold", "n": 1.5})
PRICES = PriceTable([PriceSettings("gpt-*", 1.0, 2.0)])


def budget(**data: Any) -> Budget:
    return Budget(decode(BudgetSettings, {"id": "b", "limit": 100_000, **data}), Mode.ENFORCE)


def request(model: str = "gpt-x", choices: int = 1, opaque: int = 0) -> LlmRequest:
    return LlmRequest(
        protocol="openai.chat",
        model=model,
        parts=(Part("/messages/0/content", Source.USER, "four words of text"),),
        opaque=tuple(OpaquePart(f"/{i}", Source.USER, "inline_image") for i in range(opaque)),
        tools=(),
        max_output_tokens=None,
        choices=choices,
        stream=False,
        wants_usage=False,
        document={},
    )


class LengthCounter:
    """Counts a token a character."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def count(self, text: str, vocabulary: str) -> int:
        self.seen.append(vocabulary)
        return len(text)


def test_texts_are_counted_exactly_as_far_as_that_is_cheap() -> None:
    counter = LengthCounter()
    estimate = count_text_tokens(request("gpt-4o"))
    exact = count_text_tokens(request("gpt-4o"), counter)
    assert exact != estimate
    assert counter.seen == ["o200k"] * len(request().parts)
    long = "word " * (EXACT_CHARS // 5 + 1)
    asked = replace(request("gpt-4o"), parts=(replace(request().parts[0], text=long),) * 2)
    counter.seen.clear()
    assert count_text_tokens(asked, counter) == count_text_tokens(asked)
    assert counter.seen == []


def test_texts_are_only_counted_for_budgets_of_tokens_or_cost() -> None:
    def plan(*units: str) -> tuple[list[int], int, int]:
        counter = LengthCounter()
        budgets = [budget(id=unit.replace("_", "-"), unit=unit) for unit in units]
        plan = plan_reservation(budgets, PRICES, None, ANN, request("gpt-x"), "", 10, counter)
        assert plan is not None
        return [line.amount for line in plan.lines], plan.input_tokens, len(counter.seen)

    counted = len("four words of text") + 4
    assert plan("requests", "concurrent_requests") == ([1, 1], 0, 0)
    assert plan("requests", "input_tokens") == ([1, counted], counted, 1)
    assert plan("cost_usd") == ([counted * 1000 + 10 * 2000], counted, 1)


def reserved(made: Budget, asked: LlmRequest, max_output: int | None = None) -> int:
    plan = plan_reservation([made], PRICES, None, ANN, asked, "r", max_output)
    assert plan is not None
    return plan.lines[0].amount


def test_the_estimate_is_input_plus_all_the_output_that_may_come() -> None:
    text = count_text_tokens(request())
    assert reserved(budget(), request()) == text + 1024
    assert reserved(budget(), request(choices=3), max_output=10) == text + 30
    assert reserved(budget(), request(opaque=2), max_output=0) == text + 2000
    assert reserved(budget(unit="input_tokens"), request()) == text
    assert reserved(budget(unit="output_tokens"), request(), max_output=7) == 7
    assert reserved(budget(unit="requests"), request()) == 1
    assert reserved(budget(unit="cost_usd"), request(), max_output=10) == text * 1000 + 20_000


def test_a_model_without_a_price_is_noticed_unless_the_budget_only_shadows() -> None:
    plan = plan_reservation([budget(unit="cost_usd")], PRICES, None, ANN, request("x"), "r", 1)
    assert plan is not None
    assert plan.unpriced
    shadow = budget(unit="cost_usd", mode="shadow")
    plan = plan_reservation([shadow], PRICES, None, ANN, request("x"), "r", 1)
    assert plan is not None
    assert not plan.unpriced
    assert plan.lines[0].soft


def test_a_share_of_the_limit_may_be_granted_locally() -> None:
    plans = [
        plan_reservation([made], PRICES, None, ANN, request(), "r", 1)
        for made in (budget(), budget(on_store_error="local", local_percent=25))
    ]
    assert [plan.lines[0].local_percent for plan in plans if plan is not None] == [0, 25]
    assert budget(on_store_error="local").fails_closed
    assert not budget(on_store_error="open").fails_closed


def test_budgets_apply_by_model_and_route() -> None:
    made = budget(models=["gpt-*"], routes=["chat"])
    assert made.applies("gpt-x", "chat")
    assert not made.applies("other", "chat")
    assert not made.applies("gpt-x", "admin")
    assert plan_reservation([made], PRICES, None, ANN, request("other"), "chat", 1) is None


def test_partitions_are_canonical_and_cannot_be_forged() -> None:
    keys = ("principal", "claim.org.id", "model", "route", "claim.none", "claim.n")
    text = Partition(keys).text(ANN, "m", "r")
    assert text == (
        "principal=jwt:ann|claim.org.id=acme%7C%3D%25|model=m|route=r|claim.none=|claim.n=1.5"
    )


def test_overrides_take_the_first_match() -> None:
    made = budget(
        overrides=[
            {"when": {"tier": "silver"}, "limit": 1},
            {"when": {"tier": ["gold", "platinum"], "sub": {"exists": True}}, "limit": 2},
            {"when": {"tier": "gold"}, "limit": 3},
        ]
    )
    assert made.limit_for(ANN) == 2
    assert made.limit_for(Principal("bob", "jwt", {})) == 100_000


@pytest.mark.parametrize(
    ("unit", "amount"),
    [("total_tokens", 30), ("input_tokens", 20), ("output_tokens", 10), ("cached_tokens", 5)]
    + [("reasoning_tokens", 4), ("requests", 1), ("cost_usd", 40_000)],
)
def test_amounts(unit: str, amount: int) -> None:
    made = budget(unit=unit)
    assert amount_of(made.settings, Usage(20, 10, 5, 4), "gpt-x", PRICES) == amount


def ticket(**estimates: int) -> Ticket:
    return Ticket(
        request_id="r",
        principal=ANN,
        policy=PolicyRef("p", 1, "0" * 64),
        protocol="openai.chat",
        model="gpt-x",
        route="r",
        budgets=tuple(estimates),
        estimates=estimates,
        stream=False,
        usage_injected=False,
        input_tokens=5,
        started_s=0,
        tenant="t",
    )


def test_settling() -> None:
    budgets = {
        "tokens": Budget(decode(BudgetSettings, {"id": "tokens", "limit": 1}), Mode.ENFORCE),
        "slots": Budget(
            decode(BudgetSettings, {"id": "slots", "limit": 1, "unit": "concurrent_requests"}),
            Mode.ENFORCE,
        ),
    }
    made = settle_request(
        budgets, PRICES, ticket(tokens=99, slots=1, gone=7), lambda _: Usage(2, 3)
    )
    assert made.amounts == {"tokens": 5, "slots": 0, "gone": 7}
    assert (made.request_id, made.tenant) == ("r", "t")
    unknown = settle_request(budgets, PRICES, ticket(tokens=99), lambda _: None)
    assert unknown.amounts == {"tokens": 99}
    assert release_request(ticket(tokens=99)).amounts == {"tokens": 0}
