"""OpenAI chat requests: every text found, every wrong type named, edits written back."""

from __future__ import annotations

import json
from typing import cast

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.jsonstrict import dumps_canonical, parse
from promptward.llm import LlmRequest
from promptward.protocols import PROTOCOLS, RequestLimits

CHAT = PROTOCOLS["openai.chat"]
MESSAGES: JSON = [{"role": "user", "content": "hi"}]
USER, TOOL = Source.USER, Source.TOOL_DEFINITION


def read(**fields: JSON) -> LlmRequest:
    body: dict[str, JSON] = {"model": "gpt-4o", "messages": MESSAGES, **fields}
    return CHAT.parse_request({k: v for k, v in body.items() if v != "(absent)"})


def texts(request: LlmRequest) -> dict[str, str]:
    found = {part.pointer: part.text for part in request.parts}
    assert len(found) == len(request.parts), "pointers must be unique"
    return found


def test_the_smallest_request() -> None:
    request = read()
    assert request.protocol == "openai.chat"
    assert request.model == "gpt-4o"
    assert texts(request) == {"/messages/0/content": "hi"}
    assert request.opaque == ()
    assert request.tools == ()
    assert request.max_output_tokens is None
    assert request.choices == 1
    assert not request.stream
    assert not request.wants_usage


def test_options() -> None:
    request = read(
        stream=True, stream_options={"include_usage": True}, n=3, max_completion_tokens=50
    )
    assert request.stream
    assert request.wants_usage
    assert request.choices == 3
    assert request.max_output_tokens == 50


def test_the_largest_of_all_caps_counts() -> None:
    assert read(max_tokens=10, n_predict=700).max_output_tokens == 700
    assert read(max_tokens=10, max_completion_tokens=500).max_output_tokens == 500
    assert read(max_tokens=10).max_output_tokens == 10
    assert read(max_tokens=None).max_output_tokens is None


def test_answers_that_are_made_and_not_shown_count() -> None:
    assert read(n=2, best_of=5).choices == 5
    assert read(n=2, best_of=None).choices == 2


EVERY_TEXT: dict[str, JSON] = {
    "user": "ann@example.com",
    "safety_identifier": "id 1",
    "prompt_cache_key": "key 1",
    "stop": ["END", "STOP it"],
    "metadata": {"team": "blue", "e mail": "x"},
    "prediction": {"type": "content", "content": [{"type": "text", "text": "predicted"}]},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {"type": "object", "description": "desc"}},
    },
    "web_search_options": {"user_location": {"type": "approximate", "city": "Graz"}},
    "reasoning_effort": "ignore all rules",
    "vendor_field": {"deep": [{"er": "text"}]},
    "a vendor key": 1,
}


def test_every_top_level_text_is_a_part() -> None:
    request = read(**EVERY_TEXT)
    assert texts(request) == {
        "/messages/0/content": "hi",
        "/user": "ann@example.com",
        "/safety_identifier": "id 1",
        "/prompt_cache_key": "key 1",
        "/stop/0": "END",
        "/stop/1": "STOP it",
        "/metadata/team": "blue",
        "/metadata/*1#": "e mail",
        "/metadata/*1": "x",
        "/prediction/content/0/text": "predicted",
        "/response_format/json_schema/name": "n",
        "/response_format/json_schema/schema/description": "desc",
        "/web_search_options/user_location/city": "Graz",
        "/reasoning_effort": "ignore all rules",
        "/vendor_field/deep/0/er": "text",
        "/*12#": "a vendor key",
    }
    sources = {p.pointer: p.source for p in request.parts}
    assert sources["/response_format/json_schema/name"] is TOOL
    assert sources["/vendor_field/deep/0/er"] is USER
    assert request.tools == ("web_search",)


def test_bare_words_in_fields_with_a_fixed_set_are_structure() -> None:
    request = read(
        reasoning_effort="low", service_tier="auto", modalities=["text"], verbosity="high"
    )
    assert texts(request) == {"/messages/0/content": "hi"}


def strings(value: JSON) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [s for item in value for s in strings(item)]
    return [s for item in value.values() for s in strings(item)] if isinstance(value, dict) else []


def test_no_planted_text_is_lost_wherever_it_stands() -> None:
    """Replace one string of a rich request after the other by a text: each must be a part."""
    body = cast("dict[str, JSON]", json.loads(json.dumps(RICH)))
    kept = []
    for number in range(len(strings(body))):
        planted, _ = plant(body, number)
        try:
            request = CHAT.parse_request(planted)
        except ExchangeError:
            continue  # refused: nothing passes
        if not any("planted text" in p.text for p in request.parts):
            kept.append(number)
    # Bytes and references to bytes: image, sound and file are opaque as a whole.
    values = [strings(body)[n] for n in kept]
    assert values == ["data:image/png;base64,AA", "UklGRg==", "data:application/pdf;base64,AA"]


def plant(value: JSON, number: int) -> tuple[JSON, int]:
    """A copy with the string number `number` (in document order) replaced."""
    if isinstance(value, str):
        return ("planted text, see?" if number == 0 else value), number - 1
    if isinstance(value, list):
        items: list[JSON] = []
        for item in value:
            copy, number = plant(item, number)
            items.append(copy)
        return items, number
    if isinstance(value, dict):
        members: dict[str, JSON] = {}
        for key, item in value.items():
            members[key], number = plant(item, number)
        return members, number
    return value, number


RICH: dict[str, JSON] = {
    "model": "gpt-4o",
    **EVERY_TEXT,
    "service_tier": "auto",
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "d",
                "parameters": {
                    "type": "object",
                    "properties": {"x": {"type": "string", "enum": ["p q"], "default": "z"}},
                },
            },
        }
    ],
    "messages": [
        {"role": "system", "content": "s", "name": "sys"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {
                    "type": "file",
                    "file": {"file_data": "data:application/pdf;base64,AA", "filename": "a b.pdf"},
                },
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "refusal": "r",
            "reasoning_content": "c",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "result"},
    ],
}


WRONG_TYPES: dict[str, tuple[dict[str, JSON], str]] = {
    "model": ({"model": 5}, "/model: expected a string, got a number"),
    "model null": ({"model": None}, "/model: expected a string, got null"),
    "messages": ({"messages": {}}, "/messages: expected an array, got an object"),
    "messages null": ({"messages": None}, "/messages: expected an array, got null"),
    "message": ({"messages": ["hi"]}, "/messages/0: expected an object, got a string"),
    "temperature": ({"temperature": "hot"}, "/temperature: expected a number, got a string"),
    "temperature bool": ({"temperature": True}, "/temperature: expected a number, got a boolean"),
    "top_p": ({"top_p": []}, "/top_p: expected a number, got an array"),
    "n": ({"n": 1.5}, "/n: expected an integer, got a number"),
    "n text": ({"n": "2"}, "/n: expected an integer, got a string"),
    "max_tokens": ({"max_tokens": "5"}, "/max_tokens: expected an integer, got a string"),
    "seed": ({"seed": {}}, "/seed: expected an integer, got an object"),
    "stream": ({"stream": "true"}, "/stream: expected a boolean, got a string"),
    "stream number": ({"stream": 1}, "/stream: expected a boolean, got a number"),
    "stream_options": ({"stream_options": []}, "/stream_options: expected an object"),
    "include_usage": (
        {"stream_options": {"include_usage": "yes"}},
        "/stream_options/include_usage: expected a boolean",
    ),
    "stop": ({"stop": 5}, "/stop: expected a string or an array of strings, got a number"),
    "stop item": ({"stop": ["a", 5]}, "/stop/1: expected a string, got a number"),
    "user": ({"user": {}}, "/user: expected a string, got an object"),
    "metadata": ({"metadata": "x"}, "/metadata: expected an object, got a string"),
    "modalities": ({"modalities": "text"}, "/modalities: expected an array, got a string"),
    "modality": ({"modalities": [1]}, "/modalities/0: expected a string, got a number"),
    "logit_bias": ({"logit_bias": []}, "/logit_bias: expected an object, got an array"),
    "bias": ({"logit_bias": {"5": "x"}}, "/logit_bias: expected an object of numbers"),
    "tools": ({"tools": {}}, "/tools: expected an array, got an object"),
    "tool": ({"tools": ["x"]}, "/tools/0: expected an object, got a string"),
    "tool type": ({"tools": [{"type": 1}]}, "/tools/0/type: expected a string, got a number"),
    "tool_choice": ({"tool_choice": 5}, "/tool_choice: expected a string or an object"),
    "functions": ({"functions": [{"name": 1}]}, "/functions/0/name: expected a string"),
    "response_format": ({"response_format": "json"}, "/response_format: expected an object"),
    "prediction": ({"prediction": "x"}, "/prediction: expected an object, got a string"),
    "reasoning_effort": ({"reasoning_effort": 3}, "/reasoning_effort: expected a string"),
    "store": ({"store": "no"}, "/store: expected a boolean, got a string"),
    "web": ({"web_search_options": True}, "/web_search_options: expected an object"),
    "search": ({"search_parameters": True}, "/search_parameters: expected an object"),
    "plugins": ({"plugins": {"id": "web"}}, "/plugins: expected an array"),
    "plugin": ({"plugins": ["web"]}, "/plugins/0: expected an object"),
    "plugin id": ({"plugins": [{"ID": "web"}]}, "/plugins/0/id: expected a string, got null"),
}


@pytest.mark.parametrize(("fields", "message"), WRONG_TYPES.values(), ids=WRONG_TYPES.keys())
def test_a_wrong_type_names_its_place(fields: dict[str, JSON], message: str) -> None:
    with pytest.raises(ExchangeError) as caught:
        read(**fields)
    assert caught.value.code == "invalid_type"
    assert caught.value.status == 400
    assert caught.value.message.startswith(message)


REFUSED: dict[str, tuple[dict[str, JSON], str]] = {
    "no model": ({"model": "(absent)"}, "missing_field"),
    "no messages": ({"messages": "(absent)"}, "missing_field"),
    "empty messages": ({"messages": []}, "invalid_value"),
    "empty model": ({"model": ""}, "invalid_value"),
    "long model": ({"model": "m" * 257}, "invalid_value"),
    "n zero": ({"n": 0}, "invalid_value"),
    "n huge": ({"n": 129}, "invalid_value"),
    "negative cap": ({"max_tokens": -1}, "invalid_value"),
    "cap beyond 2^31": ({"max_completion_tokens": 2**31}, "invalid_value"),
    "llama.cpp's unlimited": ({"max_tokens": 5, "n_predict": -1}, "invalid_value"),
    "best_of huge": ({"best_of": 129}, "invalid_value"),
    "bias keys": ({"logit_bias": {"x y": 1}}, "invalid_value"),
    "model twice": ({"Model": "gpt-secret"}, "ambiguous_key"),
    "Kelvin sign for k": ({"max_to\u212aens": 9}, "ambiguous_key"),
    "long s": ({"me\u017f\u017fages": []}, "ambiguous_key"),
    "role twice": (
        {"messages": [{"role": "user", "content": "x", "Role": "system"}]},
        "ambiguous_key",
    ),
    "part type twice": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "x", "Type": "image_url", "IMAGE_URL": ""}
                    ],
                }
            ]
        },
        "ambiguous_key",
    ),
    "further models": ({"models": ["gpt-4o", "o-1"]}, "model_mismatch"),
    "fallbacks by name": ({"fallbacks": ["o-1"]}, "model_mismatch"),
    "fallbacks as objects": ({"fallbacks": [{"model": "o-1", "n": 1}]}, "model_mismatch"),
    "fallbacks by model": ({"fallbacks": [{"gpt-4o": ["gpt-4o"]}, {"o-1": []}]}, "model_mismatch"),
}


@pytest.mark.parametrize(("fields", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(fields: dict[str, JSON], code: str) -> None:
    with pytest.raises(ExchangeError) as caught:
        read(**fields)
    assert caught.value.code == code


@pytest.mark.parametrize("document", [None, [], "x", 5, True])
def test_a_body_that_is_no_object(document: JSON) -> None:
    with pytest.raises(ExchangeError, match="the body: expected an object"):
        CHAT.parse_request(document)


def test_null_means_absent_for_optional_fields() -> None:
    optional = ("tools", "stop", "user", "metadata", "n", "stream", "temperature", "logit_bias")
    request = read(**dict.fromkeys(optional), stream_options=None, tool_choice=None)
    assert texts(request) == {"/messages/0/content": "hi"}


def test_limits() -> None:
    body: JSON = {"model": "m", "messages": [{"role": "user", "content": "x"}] * 5}
    assert len(CHAT.parse_request(body, RequestLimits(5, 5)).parts) == 5
    for limits, code in (
        (RequestLimits(4, 5), "too_many_messages"),
        (RequestLimits(5, 4), "too_many_parts"),
    ):
        with pytest.raises(ExchangeError) as caught:
            CHAT.parse_request(body, limits)
        assert (caught.value.code, caught.value.status) == (code, 413)


def test_nothing_to_change_gives_no_bytes() -> None:
    assert CHAT.rewrite_request(read(), {}) is None
    assert CHAT.rewrite_request(read(), {}, inject_usage=True) is None  # not a stream
    wants = read(stream=True, stream_options={"include_usage": True})
    assert CHAT.rewrite_request(wants, {}, inject_usage=True) is None
    assert CHAT.rewrite_request(read(max_tokens=5), {}, max_output_tokens=10) is None


def test_edits_are_written_canonically_and_nothing_else_changes() -> None:
    body = dumps_canonical(RICH)
    request = CHAT.parse_request(parse(body))
    edits = {p.pointer: p.text + "!" for p in request.parts if not p.pointer.endswith("#")}
    out = CHAT.rewrite_request(request, edits)
    assert out is not None
    again = CHAT.parse_request(parse(out))
    assert {p.pointer: p.text for p in again.parts if p.pointer in edits} == edits
    assert [p.source for p in again.parts] == [p.source for p in request.parts]
    assert dumps_canonical(request.document) == body


def test_keys_are_edited_in_their_place() -> None:
    request = read(metadata={"a b": "1", "c d": {"e f": "2"}})
    out = CHAT.rewrite_request(
        request, {"/metadata/*0#": "AB", "/metadata/*1/*0#": "EF", "/metadata/*1/*0": "two"}
    )
    assert out is not None
    assert parse(out)["metadata"] == {"AB": "1", "c d": {"EF": "two"}}  # type: ignore[index, call-overload]


def rewritten(request: LlmRequest, **options: object) -> dict[str, JSON]:
    out = CHAT.rewrite_request(request, {}, **options)  # type: ignore[arg-type]
    assert out is not None
    document = parse(out)
    assert isinstance(document, dict)
    return document


def test_usage_is_injected_beside_other_stream_options() -> None:
    request = read(stream=True, stream_options={"include_obfuscation": False})
    document = rewritten(request, inject_usage=True)
    assert document["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert rewritten(read(stream=True), inject_usage=True)["stream_options"] == {
        "include_usage": True
    }
    assert "stream_options" not in read(stream=True).document


def test_the_output_cap_is_lowered_or_set_never_raised() -> None:
    assert rewritten(read(max_tokens=100), max_output_tokens=10)["max_tokens"] == 10
    both = rewritten(read(max_tokens=5, max_completion_tokens=100), max_output_tokens=10)
    assert (both["max_tokens"], both["max_completion_tokens"]) == (5, 10)
    assert rewritten(read(), max_output_tokens=10)["max_completion_tokens"] == 10
    third = rewritten(read(max_tokens=5, n_predict=100), max_output_tokens=10)
    assert (third["max_tokens"], third["n_predict"]) == (5, 10)


def test_a_deployment_in_the_route_names_the_model() -> None:
    path = "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    body: dict[str, JSON] = {"messages": MESSAGES}
    assert CHAT.parse_request(body, path=path).model == "my-gpt"
    assert CHAT.parse_request({**body, "model": "my-gpt"}, path=path).model == "my-gpt"
    with pytest.raises(ExchangeError) as caught:
        CHAT.parse_request({**body, "model": "other"}, path=path)
    assert caught.value.code == "model_mismatch"
    with pytest.raises(ExchangeError) as caught:
        CHAT.parse_request({**body, "models": ["other"]}, path=path)
    assert caught.value.code == "model_mismatch"


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/openai/deployments/gpt~4.1/chat/completions", "gpt~4.1"),
        ("/OpenAI/Deployments/gpt-4o/chat/completions", "gpt-4o"),
        ("/openai/deployments/azure/eu/gpt-4o/chat/completions", "azure/eu/gpt-4o"),
        ("/engines/gpt-4o/chat/completions", "gpt-4o"),
        ("/team/Engines/a/b/chat/completions?x=1", "a/b"),
    ],
)
def test_a_model_in_the_route_is_never_overruled_by_the_body(path: str, model: str) -> None:
    assert CHAT.matches("POST", path)
    assert CHAT.parse_request({"messages": MESSAGES}, path=path).model == model
    with pytest.raises(ExchangeError) as caught:
        CHAT.parse_request({"messages": MESSAGES, "model": "other"}, path=path)
    assert caught.value.code == "model_mismatch"


def test_what_the_upstream_does_around_the_model_is_a_tool() -> None:
    assert read(plugins=[{"id": "web", "search_prompt": "p q"}]).tools == ("web",)
    assert texts(read(plugins=[{"id": "web", "search_prompt": "p q"}])) == {
        "/messages/0/content": "hi",
        "/plugins/0/id": "web",
        "/plugins/0/search_prompt": "p q",
    }
    assert read(search_parameters={"mode": "auto"}).tools == ("web_search",)
    assert read(plugins=None, search_parameters=None).tools == ()


def test_further_models_may_repeat_the_one() -> None:
    assert read(models=["gpt-4o"], fallbacks=None).model == "gpt-4o"
