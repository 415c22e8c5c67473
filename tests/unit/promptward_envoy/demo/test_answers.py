"""The demo upstream's answers: deterministic, steered by directives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promptward_envoy.demo import answers


def chat(text: str, **fields: Any) -> answers.Chat:
    document = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    return answers.read_chat(json.dumps(document).encode())


def content(made: answers.Chat) -> Any:
    return answers.completion(made)["choices"][0]["message"]  # type: ignore[index,call-overload]


def deltas(made: answers.Chat) -> list[Any]:
    events = [e.removeprefix(b"data: ").strip() for e in answers.events(made)]
    assert events[-1] == b"[DONE]"
    return [json.loads(e) for e in events[:-1]]


def test_echo_without_directives() -> None:
    assert content(chat("[[split:3]] hello"))["content"] == "You said: hello"


def test_content_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    document = {"messages": [{"role": "user", "content": parts}]}
    assert answers.read_chat(json.dumps(document).encode()).text == "ab"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_stream_says_the_same_as_the_whole(size) -> None:
    made = chat(f"hello [[split:{size}]]", stream=True)
    pieces = [d["choices"][0]["delta"].get("content", "") for d in deltas(made)]
    assert "".join(pieces) == "You said: hello"


def test_tool_call_carries_the_message_whole_and_streamed() -> None:
    made = chat("hi [[emit:tool]]", stream=True)
    whole = content(made)["tool_calls"][0]["function"]["arguments"]
    assert json.loads(whole) == {"to": "hi"}
    pieces = [
        d["choices"][0]["delta"].get("tool_calls", [{"function": {}}])[0]["function"]
        for d in deltas(made)
    ]
    assert "".join(p.get("arguments", "") for p in pieces) == whole


def test_usage_comes_in_the_stream_only_when_asked_for() -> None:
    assert not any("usage" in d for d in deltas(chat("x", stream=True)))
    asked = chat("x [[tokens:5]]", stream=True, stream_options={"include_usage": True})
    last = deltas(asked)[-1]
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 5
    silent = chat("x [[no-usage]]", stream=True, stream_options={"include_usage": True})
    assert not any("usage" in d for d in deltas(silent))
    assert "usage" not in answers.completion(silent)


def test_emitted_and_repeated_text() -> None:
    assert "jane.roe@example.com" in content(chat("[[emit:pii]]"))["content"]
    assert "AKIA" in content(chat("[[emit:secret]]"))["content"]
    assert len(content(chat("x [[repeat:3]]"))["content"]) > 3 * 1024


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": 1}', b"\xff"])
def test_anything_else_is_no_chat(body) -> None:
    with pytest.raises(ValueError):
        answers.read_chat(body)
