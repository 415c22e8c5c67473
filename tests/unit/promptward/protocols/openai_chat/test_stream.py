"""The chat stream codec: channels, what closes them, remainders. The guard's tests do the rest."""

from __future__ import annotations

import json

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import Source
from promptward.protocols import StreamCodec, StreamEvent
from promptward.protocols.openai_chat.stream import ChatStreamCodec

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def read(
    codec: StreamCodec, delta: object, finish: str | None = None, index: int = 0
) -> StreamEvent:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return codec.read("", json.dumps({**HEAD, "choices": [choice]}).encode())


def test_a_delta_names_its_channel_and_its_place() -> None:
    event = read(ChatStreamCodec(False), {"role": "assistant", "content": "hi"})
    (delta,) = event.deltas
    assert delta.text == "hi"
    assert delta.place == ("choices", 0, "delta", "content")
    assert delta.channel.pointer == "/choices/0/message/content"
    assert delta.channel.source is Source.ASSISTANT
    assert not delta.whole


def test_arguments_are_escaped_json_and_custom_input_is_not() -> None:
    codec = ChatStreamCodec(False)
    calls = [
        {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": "{"}},
        {"index": 1, "id": "call_2", "type": "custom", "custom": {"name": "g", "input": "x"}},
    ]
    event = read(codec, {"tool_calls": calls})
    assert [(d.channel.pointer, d.channel.json_escaped) for d in event.deltas] == [
        ("/choices/0/message/tool_calls/0/function/arguments", True),
        ("/choices/0/message/tool_calls/1/custom/input", False),
    ]
    assert {d.channel.source for d in event.deltas} == {Source.TOOL_ARGUMENTS}


def test_the_index_decides_not_the_position() -> None:
    codec = ChatStreamCodec(False)
    event = read(codec, {"tool_calls": [{"index": 3, "function": {"arguments": "x"}}]}, index=2)
    (delta,) = event.deltas
    assert delta.channel.pointer == "/choices/2/message/tool_calls/3/function/arguments"
    assert delta.place == ("choices", 0, "delta", "tool_calls", 0, "function", "arguments")


def test_a_missing_index_is_the_position() -> None:
    event = ChatStreamCodec(False).read(
        "", b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"x"}}]}}]}'
    )
    (delta,) = event.deltas
    assert delta.channel.pointer == "/choices/0/message/tool_calls/0/function/arguments"


def test_the_finish_closes_the_channels_of_its_choice_only() -> None:
    codec = ChatStreamCodec(False)
    read(codec, {"content": "a"}, index=0)
    read(codec, {"content": "b"}, index=1)
    assert [c.pointer for c in read(codec, {}, "stop", index=1).closes] == [
        "/choices/1/message/content"
    ]
    assert not codec.complete
    read(codec, {}, "stop", index=0)
    assert codec.complete


def test_remainders_are_what_clients_can_join() -> None:
    codec = ChatStreamCodec(False)
    deltas = read(
        codec,
        {
            "content": "c",
            "function_call": {"arguments": "f"},
            "tool_calls": [{"index": 4, "id": "call_1", "function": {"arguments": "t"}}],
            "reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "r", "id": "x"}],
        },
    ).deltas
    carried = [json.loads(codec.remainder(d.channel, "REST")[6:]) for d in deltas]
    assert [c.pop("choices")[0]["delta"] for c in carried] == [
        {"content": "REST"},
        {"function_call": {"arguments": "REST"}},
        {"tool_calls": [{"index": 4, "function": {"arguments": "REST"}}]},
        {"reasoning_details": [{"type": "reasoning.text", "index": 0, "text": "REST"}]},
    ]
    assert carried == [HEAD] * 4


def test_the_last_event() -> None:
    assert not ChatStreamCodec(False).complete
    codec = ChatStreamCodec(False)
    assert codec.read("", b"[DONE]").end
    assert codec.complete
    assert ChatStreamCodec(False).read("", b"[DONE] ").end
    with pytest.raises(ExchangeError):
        ChatStreamCodec(False).read("", b"[DONE]x")


def test_an_error_event() -> None:
    codec = ChatStreamCodec(False)
    event = codec.read("", b'{"error":{"message":"it broke","code":"x"}}')
    assert event.closes_all
    assert codec.complete
    assert [(d.channel.pointer, d.whole) for d in event.deltas] == [
        ("/error/message", True),
        ("/error/code", True),
    ]
    assert ChatStreamCodec(False).read("error", b'{"message":"it broke"}').closes_all


def test_ids_and_words_are_structure_until_they_are_texts() -> None:
    codec = ChatStreamCodec(False)
    assert read(codec, {"role": "assistant"}, "stop").deltas == []
    event = codec.read("", b'{"choices":[{"delta":{"role":"a b"}}],"id":"c d","model":"m"}')
    assert [d.text for d in event.deltas] == ["a b", "c d"]
    # also right after an event that had the same value
    event = codec.read("", b'{"id":"c d","choices":[{"delta":{}}]}')
    assert event.deltas == []


def test_usage_with_another_text_in_its_event_is_not_dropped() -> None:
    codec = ChatStreamCodec(True)
    usage = b'"usage":{"prompt_tokens":1,"completion_tokens":2}'
    assert codec.read("", b'{"choices":[],' + usage + b"}").drop
    event = codec.read("", b'{"choices":[],"note":"a text",' + usage + b"}")
    assert not event.drop
    assert event.changed
    assert "usage" not in event.document
