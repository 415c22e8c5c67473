"""Whatever string or key of a body is replaced by a text, it is read, refused, or opaque.

Rich bodies of every protocol, each string and each object key planted in turn. The only strings
that may hold a text unread are bytes and references to bytes; their parts are opaque.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON
from promptward.llm import LlmRequest, LlmResponse
from promptward.protocols import PROTOCOLS
from promptward.testing.planting import PLANTED, planted

SCHEMA: JSON = {
    "type": "object",
    "description": "d",
    "properties": {"x": {"type": "string", "enum": ["p q"], "default": "z"}},
}
CHAT: JSON = {
    "model": "gpt-4o",
    "user": "u",
    "stop": ["END"],
    "metadata": {"team": "blue"},
    "prediction": {"type": "content", "content": [{"type": "text", "text": "p"}]},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    "web_search_options": {"user_location": {"type": "approximate", "city": "Graz"}},
    "reasoning_effort": "low",
    "service_tier": "auto",
    "modalities": ["text"],
    "logit_bias": {"5": 1},
    "stream_options": {"include_usage": True, "x": "y"},
    "vendor": {"deep": [{"er": "text"}]},
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "functions": [{"name": "g", "parameters": SCHEMA}],
    "function_call": {"name": "g"},
    "tools": [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}},
        {"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}},
    ],
    "messages": [
        {"role": "system", "content": "s", "name": "sys"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:,BYTES", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "BYTES", "format": "wav"}},
                {
                    "type": "file",
                    "file": {"file_data": "BYTES", "file_id": "BYTES", "filename": "f"},
                },
                {"type": "new", "x": "y"},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "refusal": "r",
            "reasoning_content": "c",
            "audio": {"id": "audio_1"},
            "function_call": {"name": "g", "arguments": "{}"},
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "i"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "result", "x": "y"},
    ],
}
MESSAGES: JSON = {
    "model": "claude",
    "max_tokens": 5,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "service_tier": "auto",
    "thinking": {"type": "enabled", "budget_tokens": 1},
    "tool_choice": {"type": "tool", "name": "f"},
    "tools": [{"name": "f", "description": "d", "input_schema": SCHEMA}],
    "mcp_servers": [{"type": "url", "url": "https://x", "name": "n", "authorization_token": "t"}],
    "vendor": ["v"],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "t", "citations": [{"cited_text": "c"}]},
                {"type": "image", "source": {"type": "base64", "media_type": "m", "data": "BYTES"}},
                {"type": "image", "source": {"type": "url", "url": "BYTES"}},
                {
                    "type": "document",
                    "title": "t",
                    "context": "c",
                    "source": {"type": "text", "data": "d"},
                },
                {
                    "type": "document",
                    "source": {"type": "content", "content": [{"type": "text", "text": "x"}]},
                },
                {"type": "search_result", "source": "s", "title": "t", "content": []},
                {
                    "type": "tool_result",
                    "tool_use_id": "t_1",
                    "content": [{"type": "text", "text": "r"}],
                },
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "t_2",
                    "content": [{"type": "web_search_result", "title": "t", "url": "u"}],
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": "QUJD"},
                {"type": "redacted_thinking", "data": "QUJD"},
                {
                    "type": "tool_use",
                    "id": "t_1",
                    "name": "f",
                    "input": {"q": ["a"], "n": 12345678},
                },
                {"type": "server_tool_use", "id": "t_2", "name": "f", "input": {"q": "a"}},
            ],
        },
    ],
}
PART: JSON = {
    "type": "output_text",
    "text": "t",
    "annotations": [{"type": "url_citation", "url": "u", "title": "t"}],
    "logprobs": [],
}
ITEMS: list[JSON] = [
    {"type": "message", "id": "m_1", "role": "assistant", "status": "completed", "content": [PART]},
    {"type": "function_call", "call_id": "c_1", "id": "f_1", "name": "f", "arguments": "{}"},
    {"type": "custom_tool_call", "call_id": "c_2", "name": "f", "input": "i"},
    {
        "type": "reasoning",
        "id": "r_1",
        "summary": [{"type": "summary_text", "text": "s"}],
        "content": [{"type": "reasoning_text", "text": "s"}],
        "encrypted_content": "QUJD",
    },
    {"type": "mcp_call", "name": "f", "arguments": "{}", "output": "o", "server_label": "l"},
    {"type": "mcp_list_tools", "tools": [{"name": "f", "input_schema": SCHEMA}]},
    {"type": "file_search_call", "queries": ["q"], "results": [{"text": "t"}]},
    {"type": "code_interpreter_call", "code": "c", "outputs": [{"type": "logs", "logs": "l"}]},
    {"type": "image_generation_call", "id": "i_1", "result": "BYTES", "revised_prompt": "p"},
    {"type": "local_shell_call", "action": {"type": "exec", "command": ["ls"]}},
    {"type": "new_item", "x": {"y": "z"}},
]
RESPONSES: JSON = {
    "model": "gpt-4.1",
    "instructions": "i",
    "metadata": {"k": "v"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
    "reasoning": {"effort": "low"},
    "include": ["reasoning"],
    "previous_response_id": "r_1",
    "conversation": {"id": "c_1"},
    "prompt": {"id": "p_1", "variables": {"v": "x", "w": {"type": "input_text", "text": "y"}}},
    "user": "u",
    "vendor": "v",
    "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}, {"type": "mcp"}],
    "tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "f"}]},
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "t"},
                {"type": "input_image", "image_url": "data:,BYTES", "detail": "low"},
                {"type": "input_file", "file_data": "BYTES", "filename": "f"},
                {"type": "new", "x": "y"},
            ],
        },
        {"type": "function_call_output", "call_id": "c_1", "output": "o"},
        {
            "type": "computer_call_output",
            "output": {"type": "computer_screenshot", "image_url": "BYTES"},
        },
        *ITEMS,
    ],
}
REQUESTS: dict[str, JSON] = {
    "openai.chat": CHAT,
    "anthropic.messages": MESSAGES,
    "openai.responses": RESPONSES,
}
ANSWERS: dict[str, JSON] = {
    "openai.chat": {
        "id": "c_1",
        "object": "chat.completion",
        "model": "m",
        "service_tier": "default",
        "system_fingerprint": "fp_1",
        "citations": ["u"],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "content_filter_results": {"hate": {"severity": "safe"}},
                "message": {
                    "role": "assistant",
                    "content": "t",
                    "refusal": "r",
                    "reasoning_content": "c",
                    "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
                    "audio": {"id": "a_1", "data": "BYTES", "transcript": "t"},
                    "tool_calls": [
                        {
                            "id": "c_1",
                            "type": "function",
                            "function": {"name": "f", "arguments": "{}"},
                        }
                    ],
                },
            }
        ],
    },
    "anthropic.messages": {
        "id": "m_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "stop_reason": "end_turn",
        "stop_sequence": "s",
        "usage": {"input_tokens": 1, "output_tokens": 2, "service_tier": "standard"},
        "content": [
            {"type": "text", "text": "t", "citations": [{"cited_text": "c"}]},
            {"type": "thinking", "thinking": "t", "signature": "QUJD"},
            {"type": "tool_use", "id": "t_1", "name": "f", "input": {"q": "a"}},
        ],
    },
    "openai.responses": {
        "id": "r_1",
        "object": "response",
        "status": "completed",
        "model": "m",
        "instructions": "i",
        "metadata": {"k": "v"},
        "incomplete_details": {"reason": "max_output_tokens"},
        "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
        "usage": {"input_tokens": 1, "output_tokens": 2},
        "output": ITEMS,
    },
}


def unread(body: JSON, parse: Callable[[JSON], LlmRequest | LlmResponse]) -> list[str]:
    """What could be replaced by a text without anybody reading it."""
    missed = []
    for what, document in planted(body):
        try:
            view = parse(document)
        except ExchangeError:
            continue
        if not any(PLANTED in part.text for part in view.parts):
            missed.append(what)
        assert not any(PLANTED in part.pointer for part in view.parts)
        assert not any(PLANTED in part.pointer for part in view.opaque)
    return missed


@pytest.mark.parametrize("name", PROTOCOLS)
def test_requests(name: str) -> None:
    missed = unread(REQUESTS[name], PROTOCOLS[name].parse_request)
    assert {what.removeprefix("data:,") for what in missed} <= {"BYTES"}, missed


@pytest.mark.parametrize("name", PROTOCOLS)
def test_answers(name: str) -> None:
    missed = unread(ANSWERS[name], PROTOCOLS[name].parse_response)
    assert set(missed) <= {"BYTES"}, missed


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_bodies_themselves_are_read(name: str) -> None:
    """Otherwise everything above would be refused, and nothing tested."""
    assert PROTOCOLS[name].parse_request(REQUESTS[name]).parts
    assert PROTOCOLS[name].parse_response(ANSWERS[name]).parts
