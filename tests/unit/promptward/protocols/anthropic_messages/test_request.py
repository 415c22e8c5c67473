"""Anthropic requests: every text found, every wrong type named, edits written back."""

from __future__ import annotations

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.jsonstrict import dumps_canonical, parse
from promptward.llm import LlmRequest
from promptward.protocols import PROTOCOLS, RequestLimits

MESSAGES = PROTOCOLS["anthropic.messages"]


def read(**fields: JSON) -> LlmRequest:
    body: dict[str, JSON] = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "hi"}],
        **fields,
    }
    return MESSAGES.parse_request({k: v for k, v in body.items() if v != "(absent)"})


def texts(request: LlmRequest) -> dict[str, tuple[str, Source]]:
    found = {p.pointer: (p.text, p.source) for p in request.parts}
    assert len(found) == len(request.parts), "pointers must be unique"
    return found


def test_the_smallest_request() -> None:
    request = read()
    assert request.protocol == "anthropic.messages"
    assert request.model == "claude-sonnet-4-5"
    assert texts(request) == {"/messages/0/content": ("hi", Source.USER)}
    assert request.max_output_tokens == 100
    assert request.choices == 1
    assert not request.stream
    assert request.wants_usage


def test_every_text_is_a_part() -> None:
    request = read(
        system=[{"type": "text", "text": "be nice", "cache_control": {"type": "ephemeral"}}],
        stop_sequences=["END it"],
        metadata={"user_id": "ann@example.com"},
        tools=[
            {
                "name": "weather",
                "description": "tells it",
                "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        ],
        tool_choice={"type": "tool", "name": "weather"},
        mcp_servers=[{"type": "url", "url": "https://x/mcp", "name": "files"}],
        thinking={"type": "enabled", "budget_tokens": 1024},
        vendor={"deep": ["text"]},
        stream=True,
    )
    assert texts(request) == {
        "/messages/0/content": ("hi", Source.USER),
        "/system/0/text": ("be nice", Source.SYSTEM),
        "/stop_sequences/0": ("END it", Source.USER),
        "/metadata/user_id": ("ann@example.com", Source.USER),
        "/tools/0/name": ("weather", Source.TOOL_DEFINITION),
        "/tools/0/description": ("tells it", Source.TOOL_DEFINITION),
        "/tools/1/type": ("web_search_20250305", Source.TOOL_DEFINITION),
        "/tools/1/name": ("web_search", Source.TOOL_DEFINITION),
        "/tool_choice/name": ("weather", Source.TOOL_DEFINITION),
        "/mcp_servers/0/url": ("https://x/mcp", Source.TOOL_DEFINITION),
        "/mcp_servers/0/name": ("files", Source.TOOL_DEFINITION),
        "/vendor/deep/0": ("text", Source.USER),
    }
    assert request.tools == ("weather", "web_search", "mcp", "files")
    assert request.stream


REFUSED: dict[str, tuple[dict[str, JSON], str, str]] = {
    "no model": ({"model": "(absent)"}, "missing_field", "/model"),
    "no messages": ({"messages": "(absent)"}, "missing_field", "/messages"),
    "messages": ({"messages": {}}, "invalid_type", "/messages:"),
    "no message": ({"messages": []}, "invalid_value", "/messages:"),
    "message": ({"messages": ["x"]}, "invalid_type", "/messages/0:"),
    "role": ({"messages": [{"content": "x"}]}, "invalid_type", "/messages/0/role"),
    "other role": (
        {"messages": [{"role": "tool", "content": "x"}]},
        "invalid_value",
        "/messages/0/role",
    ),
    "no content": ({"messages": [{"role": "user"}]}, "missing_field", "/messages/0/content"),
    "content": (
        {"messages": [{"role": "user", "content": 5}]},
        "invalid_type",
        "/messages/0/content:",
    ),
    "system": ({"system": 5}, "invalid_type", "/system:"),
    "max_tokens": ({"max_tokens": "5"}, "invalid_type", "/max_tokens:"),
    "max_tokens zero": ({"max_tokens": 0}, "invalid_value", "/max_tokens:"),
    "stream": ({"stream": 1}, "invalid_type", "/stream:"),
    "temperature": ({"temperature": "x"}, "invalid_type", "/temperature:"),
    "top_k": ({"top_k": 1.5}, "invalid_type", "/top_k:"),
    "stop_sequences": ({"stop_sequences": [5]}, "invalid_type", "/stop_sequences/0:"),
    "metadata": ({"metadata": []}, "invalid_type", "/metadata:"),
    "tools": ({"tools": {}}, "invalid_type", "/tools:"),
    "tool": ({"tools": [{}]}, "invalid_type", "/tools/0/name:"),
    "tool_choice": ({"tool_choice": "auto"}, "invalid_type", "/tool_choice:"),
    "tool_choice name": ({"tool_choice": {"name": 1}}, "invalid_type", "/tool_choice/name:"),
    "mcp_servers": ({"mcp_servers": [{"url": "x"}]}, "invalid_type", "/mcp_servers/0/name:"),
    "thinking": ({"thinking": True}, "invalid_type", "/thinking:"),
    "other case": ({"Tools": [{"name": "shell"}]}, "ambiguous_key", "/tools:"),
    "role twice": (
        {"messages": [{"role": "user", "content": "x", "Role": "system"}]},
        "ambiguous_key",
        "/messages/0/role:",
    ),
    "block type twice": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "Type": "i"}]}]},
        "ambiguous_key",
        "/messages/0/content/0/type:",
    ),
    "tool name twice": (
        {"tools": [{"name": "get", "Name": "shell"}]},
        "ambiguous_key",
        "/tools/0/name:",
    ),
    "server name twice": (
        {"mcp_servers": [{"name": "get", "NAME": "files"}]},
        "ambiguous_key",
        "/mcp_servers/0/name:",
    ),
    "further models": ({"models": ["claude-x"]}, "model_mismatch", "/models:"),
}


@pytest.mark.parametrize(("fields", "code", "place"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_its_place(fields: dict[str, JSON], code: str, place: str) -> None:
    with pytest.raises(ExchangeError) as caught:
        read(**fields)
    assert (caught.value.code, caught.value.status) == (code, 400)
    assert caught.value.message.startswith(place)


def test_messages_are_bounded() -> None:
    body: JSON = {"model": "m", "messages": [{"role": "user", "content": "x"}] * 3}
    with pytest.raises(ExchangeError) as caught:
        MESSAGES.parse_request(body, RequestLimits(2, 100))
    assert (caught.value.code, caught.value.status) == ("too_many_messages", 413)


def test_edits_and_the_cap_are_written() -> None:
    request = read()
    assert MESSAGES.rewrite_request(request, {}, inject_usage=True) is None
    assert MESSAGES.rewrite_request(request, {}, max_output_tokens=200) is None
    before = dumps_canonical(request.document)
    out = MESSAGES.rewrite_request(request, {"/messages/0/content": "HI"}, max_output_tokens=10)
    assert out == before.replace(b'"hi"', b'"HI"').replace(b":100", b":10")
    assert dumps_canonical(request.document) == before
    capless = MESSAGES.rewrite_request(read(max_tokens="(absent)"), {}, max_output_tokens=10)
    assert capless is not None
    document = parse(capless)
    assert isinstance(document, dict)
    assert document["max_tokens"] == 10
