"""Prices: what a model's tokens cost, in integer nano-USD.

settings    what an operator writes
bundled     the price tables that come with the package
rates       one model's prices, and the arithmetic
table       which prices a model has
coverage    models that a policy lets through and that have no price
"""

from __future__ import annotations

from promptward.pricing.bundled import BUNDLED_VERSIONS
from promptward.pricing.coverage import unpriced_models
from promptward.pricing.settings import PriceSettings, PriceTableVersion
from promptward.pricing.table import PriceTable, price_table

__all__ = [
    "BUNDLED_VERSIONS",
    "PriceSettings",
    "PriceTable",
    "PriceTableVersion",
    "price_table",
    "unpriced_models",
]
