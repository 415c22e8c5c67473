import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptward.auth.globs import GlobSet
from promptward.pricing import PriceSettings, PriceTable, price_table, unpriced_models


def table(*globs):
    return PriceTable([PriceSettings(glob, 1.0, 1.0) for glob in globs])


@pytest.mark.parametrize(
    ("allowed", "counted", "priced", "unpriced"),
    [
        (["a", "b"], ["*"], ["a", "b"], []),
        (["a", "b"], ["*"], ["a"], ["b"]),
        (["a", "b"], ["a"], ["a"], []),
        (["*"], ["*"], ["*"], []),
        (["*"], ["*"], ["gpt-*"], ["*"]),
        (["*"], ["gpt-*"], ["gpt-*"], []),
        (["*"], ["gpt-4o"], ["gpt-4o"], []),
        (["*"], ["gpt-4o", "o1"], ["gpt-4o"], ["*"]),
        (["gpt-4*"], ["*"], ["gpt-*"], []),
        (["gpt-*"], ["*"], ["gpt-4*"], ["gpt-*"]),
        (["gpt-*"], ["claude-*"], [], []),
        (["gpt-?"], ["*"], ["gpt-*"], []),
        (["gpt-?"], ["*"], ["gpt-?"], ["gpt-?"]),  # not worth deciding
        (["gpt-*"], ["*"], ["gpt-?*"], ["gpt-*"]),
        (["*-mini"], ["gpt-*"], ["gpt-*"], []),
        (["*-mini"], ["gpt-*"], ["*-mini"], []),
        (["a", "a"], ["*"], [], ["a"]),
        ([], ["*"], [], []),
    ],
)
def test_models_without_a_price_are_named(allowed, counted, priced, unpriced):
    assert list(unpriced_models(allowed, counted, table(*priced))) == unpriced


def test_a_bundled_table_covers_names_not_globs():
    prices = price_table((), "2026-11-23")
    assert list(unpriced_models(["gpt-4o", "gpt-4o-2024-08-06"], ["*"], prices)) == []
    assert list(unpriced_models(["gpt-4o*", "gpt-9"], ["*"], prices)) == ["gpt-4o*", "gpt-9"]


GLOBS = st.lists(st.text("ab*?", min_size=1, max_size=4), min_size=1, max_size=3)
NAMES = ["".join(n) for size in range(5) for n in itertools.product("ab", repeat=size)]


@given(GLOBS, GLOBS, GLOBS)
def test_nothing_unpriced_is_overlooked(allowed, counted, priced):
    named = GlobSet(unpriced_models(allowed, counted, table(*priced)))
    may_use, is_counted, has_price = GlobSet(allowed), GlobSet(counted), GlobSet(priced)
    for name in NAMES:
        if may_use.matches(name) and is_counted.matches(name) and not has_price.matches(name):
            assert named.matches(name), name
