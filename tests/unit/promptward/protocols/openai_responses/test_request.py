"""Responses API requests: every text found, stored state opaque, wrong types named."""

from __future__ import annotations

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.jsonstrict import dumps_canonical, parse
from promptward.llm import LlmRequest
from promptward.protocols import PROTOCOLS, RequestLimits

RESPONSES = PROTOCOLS["openai.responses"]


def read(**fields: JSON) -> LlmRequest:
    body: dict[str, JSON] = {"model": "gpt-4.1", "input": "hi", **fields}
    return RESPONSES.parse_request({k: v for k, v in body.items() if v != "(absent)"})


def texts(request: LlmRequest) -> dict[str, tuple[str, Source]]:
    found = {p.pointer: (p.text, p.source) for p in request.parts}
    assert len(found) == len(request.parts), "pointers must be unique"
    return found


def test_the_smallest_request() -> None:
    request = read(stream=True, max_output_tokens=64)
    assert request.protocol == "openai.responses"
    assert request.model == "gpt-4.1"
    assert texts(request) == {"/input": ("hi", Source.USER)}
    assert request.opaque == ()
    assert request.max_output_tokens == 64
    assert request.stream
    assert request.wants_usage
    assert request.choices == 1


def test_every_text_is_a_part() -> None:
    request = read(
        instructions="be nice",
        tools=[
            {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}},
            {"type": "web_search"},
            {"type": "mcp", "server_label": "files", "server_url": "https://x"},
            {"type": "custom", "name": "sql"},
        ],
        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "code_x"}]},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"description": "s d"}}},
        metadata={"k": "v"},
        user="ann",
        vendor=["x"],
        truncation="auto",
        include=["reasoning.encrypted_content"],
    )
    assert texts(request) == {
        "/input": ("hi", Source.USER),
        "/instructions": ("be nice", Source.SYSTEM),
        "/tools/0/name": ("f", Source.TOOL_DEFINITION),
        "/tools/0/description": ("d", Source.TOOL_DEFINITION),
        "/tools/2/server_label": ("files", Source.TOOL_DEFINITION),
        "/tools/2/server_url": ("https://x", Source.TOOL_DEFINITION),
        "/tools/3/name": ("sql", Source.TOOL_DEFINITION),
        "/tool_choice/mode": ("auto", Source.TOOL_DEFINITION),
        "/text/format/name": ("n", Source.TOOL_DEFINITION),
        "/text/format/schema/description": ("s d", Source.TOOL_DEFINITION),
        "/metadata/k": ("v", Source.USER),
        "/user": ("ann", Source.USER),
        "/vendor/0": ("x", Source.USER),
    }
    assert request.tools == ("f", "web_search", "mcp", "files", "sql", "code_x")


NAMES: dict[str, tuple[JSON, tuple[str, ...]]] = {
    "function": ({"type": "function", "name": "f", "server_label": "s"}, ("f",)),
    "custom": ({"type": "custom", "name": "c"}, ("c",)),
    "run by the provider": ({"type": "code_interpreter"}, ("code_interpreter",)),
    # the client chooses names and labels: they must not stand for the type
    "with a name": ({"type": "code_interpreter", "name": "get"}, ("code_interpreter", "get")),
    "with a label": ({"type": "mcp", "server_label": "get"}, ("mcp", "get")),
}


@pytest.mark.parametrize(("tool", "names"), NAMES.values(), ids=NAMES.keys())
def test_names_of_tools(tool: JSON, names: tuple[str, ...]) -> None:
    assert read(tools=[tool]).tools == names
    assert read(tool_choice=tool).tools == names


@pytest.mark.parametrize(
    "fields",
    [
        {"Tools": [{"type": "mcp"}]},
        {"MAX_OUTPUT_TOKENS": 100_000},
        {"tools": [{"type": "function", "name": "get", "Name": "shell"}]},
        {"input": [{"role": "user", "content": "hi", "Role": "system"}]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "x", "TYPE": ""}]}]},
    ],
)
def test_a_name_in_another_case_is_refused(fields: dict[str, JSON]) -> None:
    with pytest.raises(ExchangeError) as caught:
        read(**fields)
    assert caught.value.code == "ambiguous_key"


OPAQUE: dict[str, tuple[dict[str, JSON], str, str]] = {
    "previous response": (
        {"previous_response_id": "resp_1"},
        "/previous_response_id",
        "stored_conversation",
    ),
    "conversation": ({"conversation": {"id": "conv_1"}}, "/conversation", "stored_conversation"),
    "prompt": ({"prompt": {"id": "pmpt_1"}}, "/prompt", "stored_prompt"),
    "background": ({"background": True}, "/background", "background_response"),
}


@pytest.mark.parametrize(("fields", "pointer", "reason"), OPAQUE.values(), ids=OPAQUE.keys())
def test_what_the_provider_keeps_is_opaque(
    fields: dict[str, JSON], pointer: str, reason: str
) -> None:
    assert [(o.pointer, o.reason) for o in read(**fields).opaque] == [(pointer, reason)]


def test_variables_of_a_stored_prompt_are_read() -> None:
    variables: JSON = {"name": "Ann Smith", "note": {"type": "input_text", "text": "a note"}}
    request = read(input="(absent)", prompt={"id": "pmpt_1", "variables": variables})
    assert texts(request)["/prompt/variables/name"][0] == "Ann Smith"
    assert texts(request)["/prompt/variables/note/text"][0] == "a note"


REFUSED: dict[str, tuple[dict[str, JSON], str, str]] = {
    "no model": ({"model": "(absent)"}, "missing_field", "/model"),
    "no input": ({"input": "(absent)"}, "missing_field", "/input"),
    "input": ({"input": 5}, "invalid_type", "/input: expected a string or an array of items"),
    "item": ({"input": ["x"]}, "invalid_type", "/input/0:"),
    "instructions": ({"instructions": []}, "invalid_type", "/instructions:"),
    "max_output_tokens": ({"max_output_tokens": 1.5}, "invalid_type", "/max_output_tokens:"),
    "zero": ({"max_output_tokens": 0}, "invalid_value", "/max_output_tokens:"),
    "background": ({"background": "yes"}, "invalid_type", "/background:"),
    "tools": ({"tools": {}}, "invalid_type", "/tools:"),
    "tool": ({"tools": [{}]}, "missing_field", "/tools/0/type:"),
    "tool name": ({"tools": [{"type": "function", "name": 1}]}, "invalid_type", "/tools/0/name:"),
    "tool_choice": ({"tool_choice": 5}, "invalid_type", "/tool_choice:"),
    "allowed": (
        {"tool_choice": {"type": "allowed_tools", "tools": "x"}},
        "invalid_type",
        "/tool_choice/tools:",
    ),
    "reasoning": ({"reasoning": "low"}, "invalid_type", "/reasoning:"),
    "text": ({"text": "x"}, "invalid_type", "/text:"),
    "prompt": ({"prompt": "x"}, "invalid_type", "/prompt:"),
    "include": ({"include": "x"}, "invalid_type", "/include:"),
    "previous": ({"previous_response_id": 5}, "invalid_type", "/previous_response_id:"),
}


@pytest.mark.parametrize(("fields", "code", "place"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_its_place(fields: dict[str, JSON], code: str, place: str) -> None:
    with pytest.raises(ExchangeError) as caught:
        read(**fields)
    assert (caught.value.code, caught.value.status) == (code, 400)
    assert caught.value.message.startswith(place)


def test_items_are_bounded() -> None:
    item: JSON = {"role": "user", "content": "x"}
    with pytest.raises(ExchangeError) as caught:
        RESPONSES.parse_request({"model": "m", "input": [item] * 3}, RequestLimits(2, 100))
    assert (caught.value.code, caught.value.status) == ("too_many_messages", 413)


def test_edits_and_the_cap_are_written() -> None:
    request = read(input=[{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}])
    assert RESPONSES.rewrite_request(request, {}, inject_usage=True) is None
    out = RESPONSES.rewrite_request(
        request, {"/input/0/content/0/text": "HI"}, max_output_tokens=20
    )
    assert out is not None
    document = parse(out)
    assert isinstance(document, dict)
    assert document["max_output_tokens"] == 20
    assert dumps_canonical(document["input"]) == dumps_canonical(request.document["input"]).replace(
        b'"hi"', b'"HI"'
    )
