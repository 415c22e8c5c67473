"""The bundled tables: their form, and that a published one does not change."""

import hashlib
import json
from decimal import Decimal
from importlib import resources

import pytest

from promptward.llm import Usage
from promptward.pricing import BUNDLED_VERSIONS
from promptward.pricing.bundled import bundled_table

TABLES = resources.files("promptward.pricing").joinpath("tables")
# A published table stays as it is: corrections are a new version.
PUBLISHED = {"2026-11-23": "e704a7100586e03815d43cad1321b8ee22fc257cf92309bc599f05a784bda7e7"}
DIRECTIONS = {"input", "output", "cached_input", "cache_write", "reasoning"}


def document(version):
    return json.loads(TABLES.joinpath(f"{version}.json").read_text("utf-8"))


def test_every_version_a_policy_can_name_is_there_and_unchanged():
    found = {entry.name.removesuffix(".json"): entry for entry in TABLES.iterdir()}
    assert set(found) == set(BUNDLED_VERSIONS) == set(PUBLISHED)
    for version, digest in PUBLISHED.items():
        assert hashlib.sha256(found[version].read_bytes()).hexdigest() == digest, version


@pytest.mark.parametrize("version", BUNDLED_VERSIONS)
def test_a_table_says_where_it_is_from(version):
    table = document(version)
    assert (table["version"], table["currency"]) == (version, "USD")
    assert table["per"] == "million tokens"
    for source in table["sources"]:
        assert source["price_list"].startswith("https://")
        assert {"provider", "seen", "left_out"} <= set(source)


@pytest.mark.parametrize("version", BUNDLED_VERSIONS)
def test_prices_are_decimal_texts_in_a_sane_order(version):
    names = []
    for entry in document(version)["models"]:
        names += entry["names"]
        for rates in (entry, entry.get("long_prompt", entry)):
            prices = {d: Decimal(rates[d]) for d in DIRECTIONS & set(rates)}
            assert all(isinstance(rates[d], str) for d in prices)
            assert Decimal(0) < prices["input"] < prices["output"], entry
            assert prices.get("cached_input", prices["input"]) <= prices["input"], entry
            assert prices.get("cache_write", prices["input"]) >= prices["input"], entry
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("model", "nano_usd"),
    [
        ("gpt-4o-mini", 150_000 + 600_000),
        ("gpt-4o-mini-2024-07-18", 150_000 + 600_000),
        ("claude-haiku-4-5-20251001", 1_000_000 + 5_000_000),
        ("claude-haiku-5-5", 100_000 + 500_000),
        ("gpt-4o-mini-2024-07", None),
        ("gpt-4o-mini-audio-preview", None),
        ("GPT-4o-mini", None),
        ("ft:gpt-4o-mini-2024-07-18:acme", None),
        ("", None),
    ],
)
def test_only_a_models_own_name_and_its_dated_snapshots_have_its_price(model, nano_usd):
    price = bundled_table("2026-11-23").price(model)
    assert (price and price.cost_nano_usd(Usage(1000, 1000))) == nano_usd


def test_long_prompts_cost_what_they_cost():
    price = bundled_table("2026-11-23").price("claude-haiku-5-5")
    assert price is not None
    assert price.cost_nano_usd(Usage(100_000, 0)) == 10_000_000
    assert price.cost_nano_usd(Usage(100_001, 0)) == 50_000_500
