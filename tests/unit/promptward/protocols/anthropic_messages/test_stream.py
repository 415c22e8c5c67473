"""Anthropic streams through the guard: what passes, what changes, what ends the stream."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from promptward.exchange import JSON, Source
from promptward.findings import Finding
from promptward.llm import Usage
from promptward.protocols import PROTOCOLS, Channel
from promptward.protocols.anthropic_messages.stream import MessagesStreamCodec
from promptward.stream.channels import ChannelFilter
from promptward.stream.guard import EventStreamGuard

MESSAGES = PROTOCOLS["anthropic.messages"]


class Late:
    """Releases everything at the end, `secret` replaced: the most a filter may hold back."""

    findings: Sequence[Finding] = ()

    def __init__(self) -> None:
        self.held = ""

    def feed(self, text: str) -> str:
        self.held += text
        return ""

    def close(self) -> str:
        return self.held.replace("secret", "[x]")


def read_all(_: Channel) -> Sequence[tuple[str, ChannelFilter]]:
    return [("pii", Late())]


def event(kind: str, **fields: JSON) -> bytes:
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def started(index: int, **block: JSON) -> bytes:
    return event("content_block_start", index=index, content_block=block)


def delta(index: int, kind: str, **fields: JSON) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def text(index: int, *pieces: str) -> bytes:
    return b"".join(delta(index, "text_delta", text=piece) for piece in pieces)


def stopped(index: int) -> bytes:
    return event("content_block_stop", index=index)


START = event(
    "message_start",
    message={
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "claude-sonnet-4-5",
        "stop_reason": None,
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 1},
    },
)
TEXT = {"type": "text", "text": ""}
END = event(
    "message_delta",
    delta={"stop_reason": "end_turn", "stop_sequence": None},
    usage={"output_tokens": 15},
) + event("message_stop")


def run(guard: EventStreamGuard, data: bytes, size: int = 1 << 20) -> bytes:
    out = b"".join(guard.feed(data[at : at + size]) for at in range(0, len(data), size))
    return out + guard.close()


def guarded(data: bytes) -> bytes:
    guard = EventStreamGuard(MESSAGES, read_all)
    out = run(guard, data)
    assert guard.failure is None, (guard.failure, guard.fault)
    return out


PING = event("ping")


def test_without_filters_every_byte_passes() -> None:
    data = START + PING + started(0, **TEXT) + text(0, "a", "b") + stopped(0) + END
    guard = EventStreamGuard(MESSAGES, lambda _: [])
    assert run(guard, data, 3) == data
    assert guard.failure is None
    assert guard.finished


def test_held_text_comes_before_the_block_stops() -> None:
    data = START + started(0, **TEXT) + text(0, "a sec", "ret") + stopped(0) + END
    assert guarded(data) == (
        START + started(0, **TEXT) + text(0, "", "") + text(0, "a [x]") + stopped(0) + END
    )


def test_blocks_are_channels_of_their_own() -> None:
    tool: dict[str, JSON] = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    data = (
        START
        + started(0, type="thinking", thinking="", signature="")
        + delta(0, "thinking_delta", thinking="secret thought")
        + delta(0, "signature_delta", signature="QUJD")
        + stopped(0)
        + started(1, **tool)
        + delta(1, "input_json_delta", partial_json='{"a":"sec')
        + delta(1, "input_json_delta", partial_json='ret"}')
        + stopped(1)
        + END
    )
    guard = EventStreamGuard(MESSAGES, read_all)
    out = run(guard, data)
    assert delta(0, "thinking_delta", thinking="[x] thought") in out
    assert delta(0, "signature_delta", signature="QUJD") in out
    assert delta(1, "input_json_delta", partial_json='{"a":"[x]"}') in out
    assert b"secret" not in out
    assert [e.pointer for e in guard.coverage] == ["/content/0/thinking", "/content/1/input"]
    assert guard.output_chars == len("secret thought") + len('{"a":"secret"}')


def test_arguments_are_json_source() -> None:
    codec = MessagesStreamCodec()
    data = delta(0, "input_json_delta", partial_json="{").split(b"data: ")[1]
    (found,) = codec.read("content_block_delta", data).deltas
    assert found.channel == Channel("/content/0/input", Source.TOOL_ARGUMENTS, True)


def test_what_arrives_whole_is_read_whole() -> None:
    result: dict[str, JSON] = {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"type": "web_search_result", "title": "a secret", "url": "https://x"}],
    }
    data = (
        START
        + started(0, **result)
        + stopped(0)
        + started(1, type="text", text="a secret at once")
        + delta(1, "citations_delta", citation={"cited_text": "secret words"})
        + stopped(1)
        + END
    )
    out = guarded(data)
    assert b"secret" not in out
    assert b'"title":"a [x]"' in out
    assert b'"cited_text":"[x] words"' in out
    assert text(1, "a [x] at once") in out


def test_usage_is_that_of_the_whole_message() -> None:
    guard = EventStreamGuard(MESSAGES, read_all)
    guard.feed(START)
    assert guard.usage is None  # the first event's output count is no final one
    run(guard, END)
    assert guard.usage == Usage(30, 15, cached_input_tokens=5)


def test_an_error_event_passes_after_inspection() -> None:
    error = event("error", error={"type": "overloaded_error", "message": "no secret left"})
    out = guarded(START + started(0, **TEXT) + text(0, "held") + error)
    assert out.endswith(text(0, "held") + error.replace(b"secret", b"[x]"))


def test_a_cut_off_stream_says_so() -> None:
    guard = EventStreamGuard(MESSAGES, read_all)
    out = run(guard, START + started(0, **TEXT) + text(0, "held"))
    assert guard.failure is not None
    assert guard.failure.code == "stream_truncated"
    error = MESSAGES.stream_error(502, "stream_truncated", "unavailable", guard.failure.message)
    assert out.endswith(text(0, "held") + error)


BROKEN: dict[str, bytes] = {
    "name and type differ": b'event: ping\ndata: {"type":"message_stop"}\n\n',
    "no type": b"event: ping\ndata: {}\n\n",
    "type a text": b'data: {"type":"a text"}\n\n',
    "not JSON": b"event: ping\ndata: {\n\n",
    "not an object": b"data: []\n\n",
    "OpenAI's end": b"data: [DONE]\n\n",
    "delta no object": event("content_block_delta", index=0, delta="x"),
    "delta without type": event("content_block_delta", index=0, delta={"text": "x"}),
    "unknown delta": delta(0, "smell_delta", smell="x"),
    "text a number": delta(0, "text_delta", text=5),
    "no index": event("content_block_delta", delta={"type": "text_delta", "text": "x"}),
    "index a text": event("content_block_stop", index="0"),
    "negative index": event("content_block_stop", index=-1),
    "block no object": event("content_block_start", index=1, content_block="x"),
    "block without type": started(1, text="x"),
    "block twice": started(0, **TEXT),
    "another kind in a block": delta(0, "thinking_delta", thinking="x"),
    "text after the stop": stopped(0) + text(0, "more"),
    "message no object": event("message_start", message="x"),
    "end no object": event("message_delta", delta="x"),
    "a key that is a text": event("ping", **{"a secret key": 1}),
    "an image": started(1, type="image", source={"type": "base64", "data": "iVBORw=="}),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_cannot_be_read_ends_the_stream(data: bytes, size: int) -> None:
    guard = EventStreamGuard(MESSAGES, read_all)
    good = START + started(0, **TEXT) + text(0, "")
    out = run(guard, good + data + text(0, "never") + stopped(0) + END, size)
    assert guard.failure is not None
    assert guard.fault is None
    assert out.startswith(good)
    assert b"never" not in out
    assert b"secret" not in out
    assert out.count(b"event: error") == 1
    last = json.loads(out.rpartition(b"data: ")[2])
    assert last["error"]["code"] == guard.failure.code


def test_every_cut_gives_the_same_bytes() -> None:
    data = (START + PING + started(0, **TEXT) + text(0, "é sec", "ret") + stopped(0) + END).replace(
        b"\n", b"\r\n"
    )
    expected = guarded(data)
    assert "é [x]".encode() in expected or b"\\u00e9 [x]" in expected
    for cut in range(len(data)):
        guard = EventStreamGuard(MESSAGES, read_all)
        assert guard.feed(data[:cut]) + guard.feed(data[cut:]) + guard.close() == expected
