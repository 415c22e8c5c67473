"""Prices: what a model's tokens cost, in integer nano-USD.

Prices come from the policy, so that finance decides them and every gateway uses the same ones;
the first entry whose glob matches the model counts. Arithmetic is decimal and exact; a fraction
of a nano-USD is rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from promptward.auth.globs import GlobSet
from promptward.llm import Usage
from promptward.settings import setting

# USD per million tokens -> nano-USD per token: 1e9 / 1e6
_NANO_PER_TOKEN = 1000


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """Prices of the models that match."""

    model: str = setting("Model glob.", min_length=1, max_length=256)
    input_per_million: float = setting("USD per million input tokens.", ge=0, le=1e6)
    output_per_million: float = setting("USD per million output tokens.", ge=0, le=1e6)
    cached_input_per_million: float | None = setting(
        "USD per million cached input tokens; the input price when left out.",
        ge=0,
        le=1e6,
        default=None,
    )


class PriceTable:
    """Compiled prices.

    Args:
        prices: first match counts.
    """

    def __init__(self, prices: Sequence[PriceSettings]) -> None:
        self._prices = tuple((GlobSet((price.model,)), price) for price in prices)

    def cost_nano_usd(self, model: str, usage: Usage) -> int | None:
        """What `usage` costs, or None when no price matches the model."""
        price = self._price(model)
        if price is None:
            return None
        cached = price.cached_input_per_million
        if cached is None:
            cached = price.input_per_million
        fresh_tokens = max(0, usage.input_tokens - usage.cached_input_tokens)
        cost = (
            Decimal(str(price.input_per_million)) * fresh_tokens
            + Decimal(str(cached)) * usage.cached_input_tokens
            + Decimal(str(price.output_per_million)) * usage.output_tokens
        )
        return int((cost * _NANO_PER_TOKEN).to_integral_value(ROUND_CEILING))

    def _price(self, model: str) -> PriceSettings | None:
        return next((price for glob, price in self._prices if glob.matches(model)), None)
