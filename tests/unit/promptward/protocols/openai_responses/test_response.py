"""Whole Responses API answers: texts and their sources, usage, edits."""

from __future__ import annotations

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.jsonstrict import dumps_canonical, parse
from promptward.llm import Usage
from promptward.protocols import PROTOCOLS

RESPONSES = PROTOCOLS["openai.responses"]


def answer(*output: JSON, **fields: JSON) -> dict[str, JSON]:
    return {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "error": None,
        "model": "gpt-4.1-2025-04-14",
        "output": list(output),
        **fields,
    }


def message(*parts: JSON) -> JSON:
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": list(parts),
    }


def test_texts_keep_the_source_they_had_in_the_request() -> None:
    response = RESPONSES.parse_response(
        answer(
            message({"type": "output_text", "text": "a", "annotations": []}),
            {"type": "function_call", "call_id": "c_1", "name": "f", "arguments": "{}"},
            instructions="be nice",
            tools=[{"type": "function", "name": "f", "description": "a tool"}],
            metadata={"k": "v w"},
        )
    )
    assert [(p.pointer, p.source) for p in response.parts] == [
        ("/output/0/content/0/text", Source.ASSISTANT),
        ("/output/1/arguments", Source.TOOL_ARGUMENTS),
        ("/instructions", Source.SYSTEM),
        ("/tools/0/name", Source.TOOL_DEFINITION),
        ("/tools/0/description", Source.TOOL_DEFINITION),
        ("/metadata/k", Source.USER),
    ]


def test_an_error_body_is_read() -> None:
    error: JSON = {"error": {"message": "it broke", "type": "server_error"}}
    assert [p.text for p in RESPONSES.parse_response(error).parts] == ["it broke"]


USAGES: dict[str, tuple[JSON, Usage | None]] = {
    "plain": ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 4)),
    "details": (
        {
            "input_tokens": 30,
            "input_tokens_details": {"cached_tokens": 20},
            "output_tokens": 40,
            "output_tokens_details": {"reasoning_tokens": 10},
        },
        Usage(30, 40, 20, 10),
    ),
    "half": ({"input_tokens": 3}, None),
    "text": ({"input_tokens": "3", "output_tokens": 4}, None),
    "absent": (None, None),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES.keys())
def test_usage(usage: JSON, expected: Usage | None) -> None:
    assert RESPONSES.parse_response(answer(usage=usage)).usage == expected


@pytest.mark.parametrize(
    "document", [[], "x", {"id": "x"}, {"error": None}, {"output": "x"}, {"output": [{}]}]
)
def test_another_shape_is_the_upstreams_fault(document: JSON) -> None:
    with pytest.raises(ExchangeError) as caught:
        RESPONSES.parse_response(document)
    assert caught.value.status == 502


def test_edits_are_written_back_and_log_probabilities_emptied() -> None:
    logprobs: JSON = [{"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": []}]
    part: JSON = {"type": "output_text", "text": "a", "logprobs": logprobs}
    document = answer(message(part, {"type": "output_text", "text": "b"}))
    before = dumps_canonical(document)
    response = RESPONSES.parse_response(document)
    assert response.opaque == ()
    assert RESPONSES.rewrite_response(response, {}) is None
    out = RESPONSES.rewrite_response(
        response, {"/output/0/content/0/text": "A", "/output/0/content/1/text": "B"}
    )
    assert out is not None
    changed = parse(out)
    assert isinstance(changed, dict)
    assert changed["output"] == [
        message(
            {"type": "output_text", "text": "A", "logprobs": []},
            {"type": "output_text", "text": "B"},
        )
    ]
    assert dumps_canonical(document) == before
