"""One model's prices, and what a usage costs at them.

Invariants: decimal arithmetic, exact; a fraction of a nano-USD is rounded up; no count that an
upstream reports, however odd, makes anything cheaper than free.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from promptward.llm import Usage

# USD per million tokens -> nano-USD per token: 1e9 / 1e6
_NANO_PER_TOKEN = 1000


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens, by direction.

    Attributes:
        input: input that is neither read from nor written to the provider's cache.
        cached_input: input read from the cache.
        cache_write: input written to the cache.
        output: output that is not reasoning.
        reasoning: reasoning, which providers count within the output.
    """

    input: Decimal
    cached_input: Decimal
    cache_write: Decimal
    output: Decimal
    reasoning: Decimal

    @classmethod
    def of(
        cls,
        input: Decimal,  # noqa: A002 - the direction's name
        output: Decimal,
        *,
        cached_input: Decimal | None = None,
        cache_write: Decimal | None = None,
        reasoning: Decimal | None = None,
    ) -> Rates:
        """Rates in which a direction without a price of its own costs what its kind costs."""
        return cls(
            input,
            input if cached_input is None else cached_input,
            input if cache_write is None else cache_write,
            output,
            output if reasoning is None else reasoning,
        )

    def cost_nano_usd(self, usage: Usage) -> int:
        """What `usage` costs."""
        special = usage.cached_input_tokens + usage.cache_write_tokens
        cost = (
            self.input * max(0, usage.input_tokens - special)
            + self.cached_input * usage.cached_input_tokens
            + self.cache_write * usage.cache_write_tokens
            + self.output * max(0, usage.output_tokens - usage.reasoning_tokens)
            + self.reasoning * usage.reasoning_tokens
        )
        return int((cost * _NANO_PER_TOKEN).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Price:
    """A model's rates; others for long prompts where the provider has them.

    Attributes:
        long_over: `long` counts, for the whole exchange, from one more input token than this.
    """

    rates: Rates
    long_over: int = 0
    long: Rates | None = None

    def cost_nano_usd(self, usage: Usage) -> int:
        """What `usage` costs."""
        if self.long is not None and usage.input_tokens > self.long_over:
            return self.long.cost_nano_usd(usage)
        return self.rates.cost_nano_usd(usage)
