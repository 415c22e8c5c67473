from decimal import Decimal

from promptward.pricing import PriceSettings


def test_prices_are_the_decimals_that_were_written():
    settings = PriceSettings("m", 0.1, 0.7, 0.05, 0.125, 1.1)
    rates = settings.price().rates
    assert rates.input == Decimal("0.1")
    assert rates.output == Decimal("0.7")
    assert rates.cached_input == Decimal("0.05")
    assert rates.cache_write == Decimal("0.125")
    assert rates.reasoning == Decimal("1.1")


def test_what_has_no_price_of_its_own_costs_what_its_kind_costs():
    rates = PriceSettings("m", 1.0, 2.0).price().rates
    assert rates.cached_input == rates.cache_write == rates.input
    assert rates.reasoning == rates.output
