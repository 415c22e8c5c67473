"""What an operator writes about prices."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from promptward.pricing.rates import Price, Rates
from promptward.settings import setting

PriceTableVersion = Literal["none", "2026-11-23"]
"""Bundled tables a policy can name; they stay when newer ones come."""

_DEAREST = 1e6


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """Prices of the models that match."""

    model: str = setting("Model glob.", min_length=1, max_length=256)
    input_per_million: float = setting("USD per million input tokens.", ge=0, le=_DEAREST)
    output_per_million: float = setting("USD per million output tokens.", ge=0, le=_DEAREST)
    cached_input_per_million: float | None = setting(
        "USD per million cached input tokens; the input price when left out.",
        ge=0,
        le=_DEAREST,
        default=None,
    )
    cache_write_per_million: float | None = setting(
        "USD per million input tokens written to the provider's cache; the input price when left"
        " out.",
        ge=0,
        le=_DEAREST,
        default=None,
    )
    reasoning_per_million: float | None = setting(
        "USD per million reasoning tokens; the output price when left out.",
        ge=0,
        le=_DEAREST,
        default=None,
    )

    def price(self) -> Price:
        """The prices as exact decimals."""
        return Price(
            Rates.of(
                Decimal(str(self.input_per_million)),
                Decimal(str(self.output_per_million)),
                cached_input=_decimal(self.cached_input_per_million),
                cache_write=_decimal(self.cache_write_per_million),
                reasoning=_decimal(self.reasoning_per_million),
            )
        )


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))
