from decimal import Decimal

import pytest

from promptward.llm import Usage
from promptward.pricing.rates import Price, Rates

CACHED, WRITE, REASONING = Decimal("0.25"), Decimal("2.50"), Decimal(5)
FULL = Rates.of(
    Decimal(2), Decimal(10), cached_input=CACHED, cache_write=WRITE, reasoning=REASONING
)
PLAIN = Rates.of(Decimal(2), Decimal(10))


@pytest.mark.parametrize(
    ("usage", "full", "plain"),
    [
        (Usage(1, 0), 2_000, 2_000),
        (Usage(0, 1), 10_000, 10_000),
        (Usage(10, 0, cached_input_tokens=4), 12_000 + 1_000, 20_000),
        (Usage(10, 0, cache_write_tokens=4), 12_000 + 10_000, 20_000),
        (Usage(10, 0, cached_input_tokens=4, cache_write_tokens=6), 1_000 + 15_000, 20_000),
        (Usage(0, 10, reasoning_tokens=4), 60_000 + 20_000, 100_000),
        (Usage(0, 0), 0, 0),
    ],
)
def test_every_direction_has_its_price(usage, full, plain):
    assert FULL.cost_nano_usd(usage) == full
    assert PLAIN.cost_nano_usd(usage) == plain


@pytest.mark.parametrize(
    "usage",
    [
        Usage(1, 0, cached_input_tokens=5),
        Usage(1, 0, cache_write_tokens=5),
        Usage(0, 1, reasoning_tokens=5),
    ],
)
def test_parts_larger_than_the_whole_are_not_paid_back(usage):
    assert FULL.cost_nano_usd(usage) > 0


def test_a_long_prompt_changes_the_price_of_the_whole_exchange():
    price = Price(PLAIN, long_over=100, long=FULL)
    assert price.cost_nano_usd(Usage(100, 0, cached_input_tokens=100)) == 200_000
    assert price.cost_nano_usd(Usage(101, 1, 101, 1)) == 25_250 + 5_000


def test_fractions_are_rounded_up():
    assert Rates.of(Decimal("0.0001"), Decimal(0)).cost_nano_usd(Usage(1, 0)) == 1
