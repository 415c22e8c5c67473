"""Compact JSON is the standard library's, character by character."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptward.jsoncompact import compact_encoder

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner)
)


@given(VALUES)
def test_it_writes_what_json_writes(value: Any) -> None:
    assert compact_encoder()(value) == json.dumps(value, separators=(",", ":"))


@given(VALUES)
def test_so_it_does_without_escapes(value: Any) -> None:
    encode = compact_encoder(ensure_ascii=False)
    assert encode(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_without_a_form_are_refused_where_asked(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        compact_encoder(allow_nan=False)([number])


def test_one_encoder_writes_many_texts() -> None:
    encode = compact_encoder()
    assert [encode([1]), encode("a\ud800"), encode({"b": []})] == ["[1]", '"a\\ud800"', '{"b":[]}']


def test_what_json_has_no_form_for_goes_to_the_default_or_is_refused() -> None:
    assert compact_encoder(sorted)([{2, 1}]) == "[[1,2]]"
    with pytest.raises(TypeError):
        compact_encoder()([{2, 1}])


def test_without_the_encoder_in_c_the_text_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    assert compact_encoder(sorted)({"a": [1.5, {2, 1}]}) == '{"a":[1.5,[1,2]]}'
