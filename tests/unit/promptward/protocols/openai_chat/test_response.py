"""Whole OpenAI chat completions: every choice, usage, edits, what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.jsonstrict import dumps_canonical, parse
from promptward.llm import LlmResponse, Usage
from promptward.protocols import PROTOCOLS

CHAT = PROTOCOLS["openai.chat"]


def completion(*messages: JSON, **fields: JSON) -> dict[str, JSON]:
    choices: list[JSON] = [
        {"index": i, "message": m, "logprobs": None, "finish_reason": "stop"}
        for i, m in enumerate(messages)
    ]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-2024-08-06",
        "choices": choices,
        "system_fingerprint": "fp_1",
        **fields,
    }


def texts(response: LlmResponse) -> dict[str, str]:
    return {p.pointer: p.text for p in response.parts}


def test_every_choice_is_read() -> None:
    response = CHAT.parse_response(
        completion({"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"})
    )
    assert texts(response) == {
        "/choices/0/message/content": "a",
        "/choices/1/message/content": "b",
    }
    assert {p.source for p in response.parts} == {Source.ASSISTANT}


def test_every_text_of_a_message_is_read() -> None:
    message: JSON = {
        "role": "assistant",
        "content": None,
        "refusal": "r",
        "reasoning_content": "c",
        "reasoning": "d",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
        ],
        "function_call": {"name": "g", "arguments": "{}"},
        "audio": {"id": "audio_1", "data": "UklG", "expires_at": 1, "transcript": "t"},
        "annotations": [
            {"type": "url_citation", "url_citation": {"url": "https://x", "title": "a title"}}
        ],
        "vendor": ["v"],
    }
    response = CHAT.parse_response(completion(message))
    prefix = "/choices/0/message"
    assert {p.removeprefix(prefix): t for p, t in texts(response).items()} == {
        "/refusal": "r",
        "/reasoning_content": "c",
        "/reasoning": "d",
        "/tool_calls/0/function/arguments": '{"x":1}',
        "/function_call/arguments": "{}",
        "/audio/transcript": "t",
        "/annotations/0/url_citation/url": "https://x",
        "/annotations/0/url_citation/title": "a title",
        "/vendor/0": "v",
    }
    assert [p.pointer for p in response.parts if p.json_escaped] == [
        f"{prefix}/tool_calls/0/function/arguments",
        f"{prefix}/function_call/arguments",
    ]
    assert [(o.pointer, o.reason) for o in response.opaque] == [(f"{prefix}/audio", "audio")]


def test_vendor_fields_are_read() -> None:
    response = CHAT.parse_response(completion(citations=["https://x"], provider="P Q"))
    assert texts(response) == {"/citations/0": "https://x", "/provider": "P Q"}


def test_an_error_body_is_read() -> None:
    response = CHAT.parse_response({"error": {"message": "bad key abc", "code": None}})
    assert texts(response) == {"/error/message": "bad key abc"}
    assert response.usage is None


USAGES: dict[str, tuple[JSON, Usage | None]] = {
    "plain": ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, Usage(3, 4)),
    "details": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 15},
        },
        Usage(10, 20, 5, 15),
    ),
    "null details": (
        {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": None},
        Usage(1, 2),
    ),
    "absent": (None, None),
    "negative": ({"prompt_tokens": -1, "completion_tokens": 2}, None),
    "text": ({"prompt_tokens": "1", "completion_tokens": 2}, None),
    "boolean": ({"prompt_tokens": True, "completion_tokens": 2}, None),
    "half": ({"prompt_tokens": 1}, None),
    "huge": ({"prompt_tokens": 2**40, "completion_tokens": 2}, None),
    "array": ([1, 2], None),
}


@pytest.mark.parametrize(("usage", "expected"), USAGES.values(), ids=USAGES.keys())
def test_usage(usage: JSON, expected: Usage | None) -> None:
    assert CHAT.parse_response(completion(usage=usage)).usage == expected


REFUSED: dict[str, JSON] = {
    "array": [],
    "text": "hello",
    "neither": {"id": "x"},
    "choices": {"choices": {}},
    "choice": {"choices": ["x"]},
    "message": {"choices": [{"message": "x"}]},
    "content": {"choices": [{"message": {"content": 5}}]},
    "part": {"choices": [{"message": {"content": [5]}}]},
    "part text": {"choices": [{"message": {"content": [{"type": "text", "text": 5}]}}]},
    "refusal": {"choices": [{"message": {"refusal": {}}}]},
    "tool calls": {"choices": [{"message": {"tool_calls": "x"}}]},
    "arguments": {"choices": [{"message": {"tool_calls": [{"function": {"arguments": 1}}]}}]},
    "model": {"choices": [], "model": 5},
}


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED.keys())
def test_another_shape_is_the_upstreams_fault(document: JSON) -> None:
    with pytest.raises(ExchangeError) as caught:
        CHAT.parse_response(document)
    assert caught.value.status == 502


def test_edits_are_written_back() -> None:
    document = completion({"role": "assistant", "content": "a"}, {"content": "b"})
    before = dumps_canonical(document)
    response = CHAT.parse_response(document)
    assert CHAT.rewrite_response(response, {}) is None
    out = CHAT.rewrite_response(response, {"/choices/1/message/content": "B"})
    assert out == before.replace(b'"b"', b'"B"')
    assert dumps_canonical(document) == before


def test_log_probabilities_leave_only_the_choices_that_change() -> None:
    def probabilities(text: str) -> JSON:
        return {"content": [{"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": []}]}

    document = completion({"content": "a"}, {"content": "b"})
    for choice, text in zip(document["choices"], "ab", strict=True):  # type: ignore[arg-type]
        choice["logprobs"] = probabilities(text)  # type: ignore[index, call-overload]
    response = CHAT.parse_response(document)
    assert response.opaque == ()
    out = CHAT.rewrite_response(response, {"/choices/0/message/content": "x"})
    assert out is not None
    choices = parse(out)["choices"]  # type: ignore[index, call-overload]
    assert choices[0]["logprobs"] is None  # type: ignore[index, call-overload]
    assert choices[1]["logprobs"] == probabilities("b")  # type: ignore[index, call-overload]


def test_edits_are_looked_through_as_often_for_many_choices_as_for_few() -> None:
    """Looking through them for each choice would cost the square of what an upstream sends."""

    class Counted(dict[str, str]):
        listed = 0

        def __iter__(self) -> Iterator[str]:
            Counted.listed += 1
            return super().__iter__()

    def listed(count: int) -> int:
        choices: list[JSON] = [{"index": i, "message": {"content": "x"}} for i in range(count)]
        response = CHAT.parse_response({"choices": choices})
        Counted.listed = 0
        assert CHAT.rewrite_response(response, Counted({p.pointer: "y" for p in response.parts}))
        return Counted.listed

    assert listed(50) == listed(2)


def test_log_probabilities_that_say_something_else_are_opaque() -> None:
    document = completion({"content": "a"})
    document["choices"][0]["logprobs"] = {"content": [{"token": "z"}]}  # type: ignore[index, call-overload]
    assert [(o.pointer, o.reason) for o in CHAT.parse_response(document).opaque] == [
        ("/choices/0/logprobs", "logprobs")
    ]
