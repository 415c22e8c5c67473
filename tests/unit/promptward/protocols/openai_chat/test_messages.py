"""Messages of an OpenAI chat request: roles, content parts, calls and results."""

from __future__ import annotations

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.protocols.collect import PartCollector
from promptward.protocols.openai_chat.messages import read_messages


def collect(*messages: JSON) -> PartCollector:
    collector = PartCollector(1000)
    read_messages(collector, "/messages", list(messages), 100)
    return collector


def one(message: JSON) -> dict[str, tuple[str, Source]]:
    return {
        p.pointer.removeprefix("/messages/0"): (p.text, p.source) for p in collect(message).parts
    }


@pytest.mark.parametrize(
    ("role", "source"),
    [
        ("system", Source.SYSTEM),
        ("developer", Source.DEVELOPER),
        ("user", Source.USER),
        ("assistant", Source.ASSISTANT),
        ("tool", Source.TOOL_RESULT),
        ("function", Source.TOOL_RESULT),
    ],
)
def test_each_role_has_its_source(role: str, source: Source) -> None:
    parts: JSON = [{"type": "text", "text": "b"}]
    assert one({"role": role, "content": "a", "name": "n"}) == {
        "/content": ("a", source),
        "/name": ("n", source),
    }
    assert one({"role": role, "content": parts}) == {"/content/0/text": ("b", source)}


def test_an_assistant_turn_in_history() -> None:
    message: JSON = {
        "role": "assistant",
        "content": None,
        "refusal": "no",
        "reasoning_content": "because",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
            {"id": "call_2", "type": "custom", "custom": {"name": "g", "input": "SELECT 1"}},
        ],
        "function_call": {"name": "h", "arguments": "{}"},
    }
    collector = collect(message)
    assert [(p.pointer, p.source, p.text, p.json_escaped) for p in collector.parts] == [
        ("/messages/0/refusal", Source.ASSISTANT, "no", False),
        ("/messages/0/reasoning_content", Source.ASSISTANT, "because", False),
        (
            "/messages/0/tool_calls/0/function/arguments",
            Source.TOOL_ARGUMENTS,
            '{"a":1}',
            True,
        ),
        ("/messages/0/tool_calls/1/custom/input", Source.TOOL_ARGUMENTS, "SELECT 1", False),
        ("/messages/0/function_call/arguments", Source.TOOL_ARGUMENTS, "{}", True),
    ]


def test_names_and_ids_of_another_shape_are_texts() -> None:
    call: JSON = {"id": "an id", "type": "function", "function": {"name": "a name"}}
    assert one({"role": "assistant", "tool_calls": [call]}) == {
        "/tool_calls/0/id": ("an id", Source.TOOL_ARGUMENTS),
        "/tool_calls/0/function/name": ("a name", Source.TOOL_ARGUMENTS),
    }
    assert one({"role": "tool", "tool_call_id": "an id"}) == {
        "/tool_call_id": ("an id", Source.TOOL_RESULT)
    }


OPAQUE: dict[str, tuple[JSON, str]] = {
    "inline image": ({"image_url": {"url": "data:image/png;base64,AA"}}, "inline_image"),
    "inline image, capitals": ({"image_url": {"url": "DATA:image/png,x"}}, "inline_image"),
    "remote image": ({"image_url": {"url": "https://x/y.png", "detail": "low"}}, "remote_image"),
    "image as text": ({"image_url": "https://x/y.png"}, "remote_image"),
    "audio": ({"input_audio": {"data": "UklG", "format": "wav"}}, "audio"),
    "file by id": ({"file": {"file_id": "file-1"}}, "file"),
    "file by data": ({"file": {"file_data": "data:x;base64,AA", "filename": "f"}}, "file"),
    "video": ({"video_url": {"url": "https://x/y.mp4"}}, "unknown_part_type"),
}


@pytest.mark.parametrize(("part", "reason"), OPAQUE.values(), ids=OPAQUE.keys())
def test_what_is_no_text_is_opaque(part: dict[str, JSON], reason: str) -> None:
    (kind,) = part
    collector = collect({"role": "user", "content": [{"type": kind, **part}]})
    assert [(o.pointer, o.reason) for o in collector.opaque] == [("/messages/0/content/0", reason)]


def test_an_unknown_part_is_opaque_and_its_strings_are_read() -> None:
    collector = collect({"role": "user", "content": [{"type": "new kind", "x": {"y": "text"}}]})
    assert [o.reason for o in collector.opaque] == ["unknown_part_type"]
    assert [p.text for p in collector.parts] == ["new kind", "text"]


def test_fields_beside_the_content_are_read() -> None:
    part: JSON = {"type": "text", "text": "a", "note": "b c", "image_url": {"url": "d"}}
    assert [t for t, _ in one({"role": "user", "content": [part], "extra": ["e"]}).values()] == [
        "a",
        "b c",
        "d",
        "e",
    ]


def test_spoken_answers_are_opaque_but_their_transcript() -> None:
    audio: JSON = {"id": "audio_1", "data": "UklG", "transcript": "said"}
    collector = collect({"role": "assistant", "audio": audio})
    assert [(o.pointer, o.reason) for o in collector.opaque] == [("/messages/0/audio", "audio")]
    assert [p.pointer for p in collector.parts] == ["/messages/0/audio/transcript"]


REFUSED: dict[str, tuple[JSON, str, str]] = {
    "no role": ({"content": "x"}, "missing_field", "/messages/0/role"),
    "role a number": ({"role": 1}, "invalid_type", "/messages/0/role"),
    "unknown role": ({"role": "root"}, "invalid_value", "/messages/0/role"),
    "content a number": ({"role": "user", "content": 5}, "invalid_type", "/messages/0/content:"),
    "content an object": ({"role": "user", "content": {}}, "invalid_type", "/messages/0/content:"),
    "part a string": ({"role": "user", "content": ["x"]}, "invalid_type", "/messages/0/content/0:"),
    "part without type": (
        {"role": "user", "content": [{"text": "x"}]},
        "invalid_type",
        "/messages/0/content/0/type",
    ),
    "text a number": (
        {"role": "user", "content": [{"type": "text", "text": 5}]},
        "invalid_type",
        "/messages/0/content/0/text",
    ),
    "text missing": (
        {"role": "user", "content": [{"type": "text"}]},
        "missing_field",
        "/messages/0/content/0",
    ),
    "image without url": (
        {"role": "user", "content": [{"type": "image_url", "image_url": {}}]},
        "invalid_type",
        "/messages/0/content/0/image_url/url",
    ),
    "audio a string": (
        {"role": "user", "content": [{"type": "input_audio", "input_audio": "x"}]},
        "invalid_type",
        "/messages/0/content/0/input_audio",
    ),
    "file id a number": (
        {"role": "user", "content": [{"type": "file", "file": {"file_id": 1}}]},
        "invalid_type",
        "/messages/0/content/0/file/file_id",
    ),
    "name a number": ({"role": "user", "name": 5}, "invalid_type", "/messages/0/name"),
    "tool calls": (
        {"role": "assistant", "tool_calls": {}},
        "invalid_type",
        "/messages/0/tool_calls:",
    ),
    "tool call": (
        {"role": "assistant", "tool_calls": [1]},
        "invalid_type",
        "/messages/0/tool_calls/0:",
    ),
    "function": (
        {"role": "assistant", "tool_calls": [{"function": "f"}]},
        "invalid_type",
        "/messages/0/tool_calls/0/function:",
    ),
    "arguments an object": (
        {"role": "assistant", "tool_calls": [{"function": {"arguments": {}}}]},
        "invalid_type",
        "/messages/0/tool_calls/0/function/arguments",
    ),
    "function_call": ({"role": "assistant", "function_call": "f"}, "invalid_type", "/messages/0/f"),
    "tool_call_id": ({"role": "tool", "tool_call_id": 5}, "invalid_type", "/messages/0/tool_call_"),
}


@pytest.mark.parametrize(("message", "code", "place"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_its_place(message: JSON, code: str, place: str) -> None:
    with pytest.raises(ExchangeError) as caught:
        collect(message)
    assert caught.value.code == code
    assert caught.value.message.startswith(place)
    assert caught.value.status == 400
