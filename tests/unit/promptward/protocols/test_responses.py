"""The envelope and the token counts of whole responses."""

from __future__ import annotations

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON
from promptward.protocols.responses import response_collector, response_object, token_count


@pytest.mark.parametrize("document", [{"choices": []}, {"error": {"message": "x"}}])
def test_an_answer_or_an_error_is_a_response(document: JSON) -> None:
    assert response_object(document, "choices") is document


@pytest.mark.parametrize("document", [{}, {"error": None}, [], "x", None])
def test_anything_else_is_the_upstreams_fault(document: JSON) -> None:
    with pytest.raises(ExchangeError) as caught:
        response_object(document, "choices")
    assert caught.value.status == 502


def test_errors_below_are_the_upstreams_fault_too() -> None:
    with pytest.raises(ExchangeError) as caught:
        response_collector().object("/choices/0", 1)
    assert caught.value.status == 502


@pytest.mark.parametrize("count", [True, -1, 2**40, 1.5, "7", None])
def test_a_count_that_makes_no_sense_is_none(count: JSON) -> None:
    assert token_count({"n": count}, "n") is None
    assert token_count({"n": 7}, "n") == 7
    assert token_count(None, "n") is None
