"""The price tables that come with the package: data, one file a version (`tables/`).

A table is never changed once it was published: prices that moved make a new version, so that a
policy that names one means the same for ever. Each names its sources; prices that could not be
traced to the provider's price list are left out, and so are models priced by more than the table
can say. Whoever bills by it checks it first.

A model costs what its own name says, else what its name without the date of a snapshot says
(`gpt-4o-2024-08-06`, `claude-haiku-4-5-20251001`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, get_args

from promptward.pricing.rates import Price, Rates
from promptward.pricing.settings import PriceTableVersion

BUNDLED_VERSIONS: tuple[str, ...] = tuple(v for v in get_args(PriceTableVersion) if v != "none")

_SNAPSHOT = re.compile(r"(.{1,200})-(?:20[0-9]{2}-[0-9]{2}-[0-9]{2}|20[0-9]{6})", re.ASCII)
_TABLES = resources.files(__package__).joinpath("tables")


class BundledTable:
    """One version of the bundled prices."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.version: str = document["version"]
        self._prices = {
            name: _price(entry) for entry in document["models"] for name in entry["names"]
        }

    def price(self, model: str) -> Price | None:
        """The price of exactly this model, or of the one it is a dated snapshot of."""
        price = self._prices.get(model)
        if price is None and (match := _SNAPSHOT.fullmatch(model)):
            price = self._prices.get(match[1])
        return price


@cache
def bundled_table(version: str) -> BundledTable:
    """The table of `version`, one of BUNDLED_VERSIONS."""
    text = _TABLES.joinpath(f"{version}.json").read_text(encoding="utf-8")
    return BundledTable(json.loads(text))


def _price(entry: Mapping[str, Any]) -> Price:
    long = entry.get("long_prompt")
    if long is None:
        return Price(_rates(entry))
    return Price(_rates(entry), long["over_input_tokens"], _rates(long))


def _rates(entry: Mapping[str, Any]) -> Rates:
    optional = {
        name: Decimal(entry[name])
        for name in ("cached_input", "cache_write", "reasoning")
        if name in entry
    }
    return Rates.of(Decimal(entry["input"]), Decimal(entry["output"]), **optional)
