"""Headers: lower-cased, ordered, multi-valued, and never in a log."""

from __future__ import annotations

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import Headers


def test_names_are_lower_case_and_order_is_kept() -> None:
    headers = Headers([("B", "1"), ("a", "2"), ("b", "3")])
    assert headers.pairs == (("b", "1"), ("a", "2"), ("b", "3"))
    assert headers.get_all("b") == ["1", "3"]
    assert list(headers) == list(headers.pairs)


def test_a_single_value_is_single() -> None:
    headers = Headers([("a", "1"), ("b", "1"), ("b", "2")])
    assert headers.get("a") == "1"
    assert headers.get("c") is None
    with pytest.raises(ExchangeError) as caught:
        headers.get("b")
    assert caught.value.code == "duplicate_header"


def test_repr_hides_values() -> None:
    assert "hunter2" not in repr(Headers([("authorization", "hunter2")]))


def test_equality() -> None:
    assert Headers([("A", "1")]) == Headers([("a", "1")])
    assert hash(Headers([("A", "1")])) == hash(Headers([("a", "1")]))
    assert Headers() != object()
