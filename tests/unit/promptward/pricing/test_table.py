"""Prices are exact: decimal arithmetic, rounded up to a nano-USD."""

from __future__ import annotations

import pytest

from promptward.llm import Usage
from promptward.pricing import PriceSettings, PriceTable, price_table

TABLE = PriceTable(
    [
        PriceSettings("gpt-x", 0.15, 0.60, 0.075),
        PriceSettings("gpt-*", 2.0, 8.0),
        PriceSettings("tiny", 0.0000001, 0.0),
    ]
)


@pytest.mark.parametrize(
    ("model", "usage", "nano_usd"),
    [
        ("gpt-x", Usage(1000, 1000), 150_000 + 600_000),
        ("gpt-x", Usage(1000, 0, 400), 90_000 + 30_000),
        ("gpt-other", Usage(1000, 10, 400), 2_000_000 + 80_000),
        ("tiny", Usage(1, 0), 1),
        ("gpt-x", Usage(0, 0), 0),
        ("unknown", Usage(1, 1), None),
    ],
)
def test_cost(model: str, usage: Usage, nano_usd: int | None) -> None:
    assert TABLE.cost_nano_usd(model, usage) == nano_usd


def test_more_cached_than_input_never_gives_money_back() -> None:
    cost = TABLE.cost_nano_usd("gpt-x", Usage(10, 0, 20))
    assert cost is not None
    assert cost > 0


def test_the_policys_own_prices_come_before_the_bundled_ones() -> None:
    prices = price_table([PriceSettings("gpt-4o-mini", 1.0, 1.0)], "2026-11-23")
    assert prices.version == "2026-11-23"
    assert prices.cost_nano_usd("gpt-4o-mini", Usage(1, 0)) == 1000
    assert prices.cost_nano_usd("gpt-4o", Usage(1, 0)) == 2500
    assert prices.cost_nano_usd("unknown", Usage(1, 0)) is None


def test_without_a_table_only_the_policys_prices_count() -> None:
    prices = price_table([], "none")
    assert prices.version == ""
    assert prices.price("gpt-4o") is None


@pytest.mark.parametrize(
    ("glob", "covered"),
    [("gpt-x", True), ("gpt-4*", True), ("gpt-?", True), ("g*", False), ("*", False), ("x", False)],
)
def test_which_globs_are_covered(glob: str, covered: bool) -> None:
    assert TABLE.covers(glob) is covered
