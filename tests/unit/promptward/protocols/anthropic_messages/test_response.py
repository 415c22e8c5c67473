"""Whole Anthropic messages: texts, usage, edits."""

from __future__ import annotations

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.jsonstrict import dumps_canonical
from promptward.llm import Usage
from promptward.protocols import PROTOCOLS

MESSAGES = PROTOCOLS["anthropic.messages"]


def message(*content: JSON, **fields: JSON) -> dict[str, JSON]:
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        **fields,
    }


def test_every_block_is_read() -> None:
    response = MESSAGES.parse_response(
        message(
            {"type": "thinking", "thinking": "t", "signature": "QUJD"},
            {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"q": "b"}},
            stop_sequence="the end",
        )
    )
    assert [(p.pointer, p.text, p.source) for p in response.parts] == [
        ("/content/0/thinking", "t", Source.ASSISTANT),
        ("/content/1/text", "a", Source.ASSISTANT),
        ("/content/2/input/q", "b", Source.TOOL_ARGUMENTS),
        ("/stop_sequence", "the end", Source.ASSISTANT),
    ]


def test_an_error_body_is_read() -> None:
    error: JSON = {"type": "error", "error": {"type": "api_error", "message": "it broke"}}
    assert [p.text for p in MESSAGES.parse_response(error).parts] == ["it broke"]


USAGES: dict[str, tuple[JSON, Usage | None]] = {
    "plain": ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 4)),
    "cached": (
        {
            "input_tokens": 3,
            "output_tokens": 4,
            "cache_creation_input_tokens": 10,
            "cache_read_input_tokens": 20,
        },
        Usage(33, 4, cached_input_tokens=20, cache_write_tokens=10),
    ),
    "null caches": (
        {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": None},
        Usage(3, 4),
    ),
    "half": ({"input_tokens": 3}, None),
    "text": ({"input_tokens": "3", "output_tokens": 4}, None),
    "negative": ({"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": -1}, None),
    "absent": (None, None),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES.keys())
def test_usage(usage: JSON, expected: Usage | None) -> None:
    assert MESSAGES.parse_response(message(usage=usage)).usage == expected


@pytest.mark.parametrize(
    "document", [[], "x", {"id": "x"}, {"content": "x"}, {"content": [5]}, {"content": [{}]}]
)
def test_another_shape_is_the_upstreams_fault(document: JSON) -> None:
    with pytest.raises(ExchangeError) as caught:
        MESSAGES.parse_response(document)
    assert caught.value.status == 502


def test_edits_are_written_back() -> None:
    document = message({"type": "text", "text": "a"})
    before = dumps_canonical(document)
    response = MESSAGES.parse_response(document)
    assert MESSAGES.rewrite_response(response, {}) is None
    assert MESSAGES.rewrite_response(response, {"/content/0/text": "A"}) == before.replace(
        b'"a"', b'"A"'
    )
