"""Whatever string or key of a stream event is replaced by a text, a filter sees it.

The filter erases the text; what still comes out was read by nobody. Bytes are opaque and end the
stream, so they are no exception here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from promptward.exchange import JSON
from promptward.findings import Finding
from promptward.protocols import PROTOCOLS, Channel
from promptward.stream.channels import ChannelFilter
from promptward.stream.guard import EventStreamGuard
from promptward.testing.planting import PLANTED, planted

CHUNK: dict[str, JSON] = {
    "id": "c_1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "service_tier": "default",
    "system_fingerprint": "fp_1",
    "provider": "p",
    "obfuscation": "abc",
    "citations": ["u"],
    "choices": [
        {
            "index": 0,
            "finish_reason": None,
            "native_finish_reason": "stop",
            "content_filter_results": {"hate": {"severity": "safe"}},
            "logprobs": {"content": [{"token": "t", "logprob": -1}]},
            "delta": {
                "role": "assistant",
                "content": "t",
                "refusal": "r",
                "reasoning_content": "c",
                "reasoning_details": [{"type": "reasoning.text", "text": "t", "signature": "s"}],
                "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
                "function_call": {"name": "g", "arguments": "{}"},
                "vendor": {"x": "y"},
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "c_1",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                    },
                    {"index": 1, "id": "c_2", "custom": {"name": "f", "input": "i"}, "x": "y"},
                ],
            },
        }
    ],
}
PART: JSON = {"type": "output_text", "text": "t", "annotations": [], "logprobs": []}
PLACE: dict[str, JSON] = {
    "item_id": "m_1",
    "output_index": 0,
    "content_index": 0,
    "sequence_number": 1,
}
STREAMS: dict[str, list[JSON]] = {
    "openai.chat": [
        CHUNK,
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "tier": "x"}},
        {"error": {"message": "m", "type": "server_error", "param": None, "code": "c"}},
    ],
    "anthropic.messages": [
        {
            "type": "message_start",
            "message": {
                "id": "m_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "stop_reason": None,
                "usage": {"input_tokens": 1, "output_tokens": 1, "service_tier": "standard"},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "t"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "t"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "citations_delta", "citation": {"cited_text": "c", "title": "t"}},
        },
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "thinking", "thinking": "t", "signature": "QUJD"},
        },
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "signature_delta", "signature": "QUJD"},
        },
        {"type": "content_block_stop", "index": 1},
        {
            "type": "content_block_start",
            "index": 2,
            "content_block": {"type": "tool_use", "id": "t_1", "name": "f", "input": {"q": "a"}},
        },
        {
            "type": "content_block_delta",
            "index": 2,
            "delta": {"type": "input_json_delta", "partial_json": "{}"},
        },
        {"type": "content_block_stop", "index": 2},
        {
            "type": "content_block_start",
            "index": 3,
            "content_block": {
                "type": "web_search_tool_result",
                "tool_use_id": "t_1",
                "content": [{"type": "web_search_result", "title": "t", "url": "u"}],
            },
        },
        {"type": "content_block_stop", "index": 3},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": "s"},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ],
    "openai.responses": [
        {
            "type": "response.created",
            "sequence_number": 0,
            "response": {
                "id": "r_1",
                "object": "response",
                "status": "in_progress",
                "model": "m",
                "instructions": "i",
                "tools": [{"type": "function", "name": "f", "description": "d"}],
                "metadata": {"k": "v"},
                "output": [],
            },
        },
        {"type": "response.output_text.delta", **PLACE, "delta": "t", "obfuscation": "abc"},
        {"type": "response.output_text.done", **PLACE, "text": "t", "logprobs": []},
        {
            "type": "response.output_text.annotation.added",
            **PLACE,
            "annotation_index": 0,
            "annotation": {"type": "url_citation", "title": "t", "url": "u"},
        },
        {"type": "response.content_part.done", **PLACE, "part": PART},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {"type": "message", "id": "m_1", "role": "assistant", "content": [PART]},
        },
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"},
        {
            "type": "response.function_call_arguments.done",
            "output_index": 1,
            "name": "f",
            "arguments": "{}",
        },
        {
            "type": "response.reasoning_summary_text.delta",
            "output_index": 2,
            "summary_index": 0,
            "delta": "t",
        },
        {
            "type": "response.reasoning_summary_part.done",
            "output_index": 2,
            "summary_index": 0,
            "part": {"type": "summary_text", "text": "t"},
        },
        {"type": "response.web_search_call.searching", "output_index": 3, "item_id": "w_1"},
        {"type": "response.new.thing", "x": {"y": ["z"]}},
        {
            "type": "response.failed",
            "response": {"id": "r_1", "error": {"code": "c", "message": "m"}, "output": []},
        },
    ],
}


class Erase:
    """Erases the planted text."""

    findings: Sequence[Finding] = ()

    def __init__(self) -> None:
        self.held = ""

    def feed(self, text: str) -> str:
        self.held += text
        return ""

    def close(self) -> str:
        return self.held.replace(PLANTED, "")


def read_all(_: Channel) -> Sequence[tuple[str, ChannelFilter]]:
    return [("x", Erase())]


def encoded(events: list[JSON]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def run(name: str, events: list[JSON], drop_usage: bool = False) -> tuple[bytes, EventStreamGuard]:
    guard = EventStreamGuard(PROTOCOLS[name], read_all, drop_usage=drop_usage)
    out = guard.feed(encoded(events)) + guard.close()
    assert guard.fault is None, guard.fault
    return out, guard


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_streams_themselves_pass(name: str) -> None:
    """Otherwise everything below would be refused, and nothing tested."""
    _, guard = run(name, STREAMS[name])
    assert guard.failure is None


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("drop_usage", [False, True])
def test_no_text_passes_unread(name: str, drop_usage: bool) -> None:
    events = STREAMS[name]
    missed, passed = [], 0
    for number, event in enumerate(events):
        for what, copy in planted(event):
            out, guard = run(name, [*events[:number], copy, *events[number + 1 :]], drop_usage)
            if PLANTED.encode() in out:
                missed.append((number, what))
            passed += guard.failure is None
            assert not any(PLANTED in entry.pointer for entry in guard.coverage)
    assert missed == []
    assert passed > 10  # most planted strings are read and erased, not refused
