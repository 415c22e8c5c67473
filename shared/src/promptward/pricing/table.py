"""Which prices a model has: the policy's own first, then those of the bundled table it names.

Finance decides, in the policy, and every gateway uses the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from promptward.auth.globs import GlobSet, is_wild
from promptward.llm import Usage
from promptward.pricing.bundled import BundledTable, bundled_table
from promptward.pricing.rates import Price
from promptward.pricing.settings import PriceSettings, PriceTableVersion

_NO_NAME_HAS = "\x00"


class PriceTable:
    """Compiled prices.

    Args:
        prices: first match counts.
        bundled: for models that none of them matches.
    """

    def __init__(
        self, prices: Sequence[PriceSettings], bundled: BundledTable | None = None
    ) -> None:
        self._prices = tuple((GlobSet((price.model,)), price.price()) for price in prices)
        self._covering = GlobSet(price.model for price in prices if "?" not in price.model)
        self._bundled = bundled

    @property
    def version(self) -> str:
        """Of the bundled table; empty when there is none."""
        return self._bundled.version if self._bundled is not None else ""

    def covers(self, glob: str) -> bool:
        """Whether every model that `glob` matches certainly has a price."""
        if not is_wild(glob):
            return self.price(glob) is not None
        # A character that no name has stands for whatever may be there: only a `*` matches it,
        # and matches anything else there too.
        return self._covering.matches(glob.replace("?", "*").replace("*", _NO_NAME_HAS))

    def cost_nano_usd(self, model: str, usage: Usage) -> int | None:
        """What `usage` costs, or None when no price matches the model."""
        price = self.price(model)
        return None if price is None else price.cost_nano_usd(usage)

    def price(self, model: str) -> Price | None:
        """The prices of `model`."""
        for glob, price in self._prices:
            if glob.matches(model):
                return price
        return self._bundled.price(model) if self._bundled is not None else None


def price_table(prices: Sequence[PriceSettings], version: PriceTableVersion) -> PriceTable:
    """The prices a policy asks for."""
    return PriceTable(prices, None if version == "none" else bundled_table(version))
