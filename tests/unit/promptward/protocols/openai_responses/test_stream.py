"""Responses API streams through the guard: pieces and wholes agree, numbers stay in order."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from promptward.exchange import JSON, Source
from promptward.findings import Effect, Finding, Severity, Span
from promptward.llm import Usage
from promptward.protocols import PROTOCOLS, Channel
from promptward.stream.channels import ChannelFilter
from promptward.stream.guard import EventStreamGuard

RESPONSES = PROTOCOLS["openai.responses"]


class Late:
    """Releases everything at the end, `secret` replaced: the most a filter may hold back."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.held = ""
        self.findings: Sequence[Finding] = ()

    def feed(self, text: str) -> str:
        self.held += text
        return ""

    def close(self) -> str:
        at = self.held.find("secret")
        if at >= 0:
            span = Span(self.channel.pointer, at, at + 6)
            self.findings = [Finding("pii", "secret", "x", Severity.HIGH, 0.9, Effect.REDACT, span)]
        return self.held.replace("secret", "[x]")


def read_all(channel: Channel) -> Sequence[tuple[str, ChannelFilter]]:
    return [("pii", Late(channel))]


class Stream:
    """Writes numbered events."""

    def __init__(self) -> None:
        self.number = -1
        self.data = b""

    def event(self, kind: str, **fields: JSON) -> Stream:
        self.number += 1
        body = {"type": kind, "sequence_number": self.number, **fields}
        text = json.dumps(body, separators=(",", ":"))
        self.data += f"event: {kind}\ndata: {text}\n\n".encode()
        return self


def snapshot(status: str, *output: JSON, **fields: JSON) -> JSON:
    return {
        "id": "resp_1",
        "object": "response",
        "status": status,
        "model": "gpt-4.1",
        "output": list(output),
        **fields,
    }


def text_part(text: str) -> JSON:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def item(*parts: JSON) -> JSON:
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": list(parts)}


PLACE: dict[str, JSON] = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
USAGE: JSON = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


def message(*pieces: str) -> Stream:
    text = "".join(pieces)
    stream = Stream().event("response.created", response=snapshot("in_progress"))
    stream.event("response.output_item.added", output_index=0, item=item())
    stream.event("response.content_part.added", **PLACE, part=text_part(""))
    for piece in pieces:
        stream.event("response.output_text.delta", **PLACE, delta=piece, logprobs=[])
    stream.event("response.output_text.done", **PLACE, text=text, logprobs=[])
    stream.event("response.content_part.done", **PLACE, part=text_part(text))
    stream.event("response.output_item.done", output_index=0, item=item(text_part(text)))
    return stream.event(
        "response.completed",
        response=snapshot("completed", item(text_part(text)), usage=USAGE),
    )


def run(guard: EventStreamGuard, data: bytes, size: int = 1 << 20) -> bytes:
    out = b"".join(guard.feed(data[at : at + size]) for at in range(0, len(data), size))
    return out + guard.close()


def guarded(data: bytes) -> tuple[EventStreamGuard, list[dict[str, JSON]]]:
    guard = EventStreamGuard(RESPONSES, read_all)
    out = run(guard, data)
    assert guard.failure is None, (guard.failure, guard.fault)
    assert b"secret" not in out
    return guard, [json.loads(e.split(b"data: ")[1]) for e in out.split(b"\n\n") if e]


def test_without_filters_every_byte_passes() -> None:
    data = message("a ", "secret").data
    guard = EventStreamGuard(RESPONSES, lambda _: [])
    assert run(guard, data, 5) == data
    assert guard.failure is None
    assert guard.finished
    assert guard.usage == Usage(10, 5)


def test_pieces_and_wholes_agree() -> None:
    guard, events = guarded(message("a sec", "ret").data)
    deltas = "".join(str(e["delta"]) for e in events if e["type"] == "response.output_text.delta")
    assert deltas == "a [x]"
    (done,) = (e for e in events if e["type"] == "response.output_text.done")
    assert done["text"] == "a [x]"
    assert events[-1]["response"] == snapshot("completed", item(text_part("a [x]")), usage=USAGE)
    assert [f.span for f in guard.findings] == [Span("/output/0/content/0/text", 2, 8)]
    assert guard.output_chars == len("a secret")
    assert [e.pointer for e in guard.coverage] == ["/output/0/content/0/text"]


def test_events_stay_numbered_in_order() -> None:
    _, events = guarded(message("a sec", "ret").data)
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    kinds = [str(e["type"]).removeprefix("response.") for e in events]
    assert kinds == [
        "created",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.delta",  # what was held back
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert events[5] == {
        "type": "response.output_text.delta",
        **PLACE,
        "delta": "a [x]",
        "sequence_number": 5,
    }


FUNCTION: dict[str, JSON] = {"item_id": "fc_1", "output_index": 1}
CHANNELS: dict[str, tuple[dict[str, JSON], str, str, Source, bool]] = {
    "function_call_arguments": (
        FUNCTION,
        "arguments",
        "/output/1/arguments",
        Source.TOOL_ARGUMENTS,
        True,
    ),
    "mcp_call_arguments": (
        FUNCTION,
        "arguments",
        "/output/1/arguments",
        Source.TOOL_ARGUMENTS,
        True,
    ),
    "custom_tool_call_input": (
        FUNCTION,
        "input",
        "/output/1/input",
        Source.TOOL_ARGUMENTS,
        False,
    ),
    "code_interpreter_call_code": (
        FUNCTION,
        "code",
        "/output/1/code",
        Source.TOOL_ARGUMENTS,
        False,
    ),
    "refusal": (PLACE, "refusal", "/output/0/content/0/refusal", Source.ASSISTANT, False),
    "reasoning_text": (PLACE, "text", "/output/0/content/0/text", Source.ASSISTANT, False),
    "reasoning_summary_text": (
        {"item_id": "rs_1", "output_index": 0, "summary_index": 2},
        "text",
        "/output/0/summary/2/text",
        Source.ASSISTANT,
        False,
    ),
}


@pytest.mark.parametrize(
    ("stem", "place", "member", "pointer", "source", "escaped"),
    [(stem, *rest) for stem, rest in CHANNELS.items()],
    ids=CHANNELS.keys(),
)
def test_every_kind_of_delta_is_a_channel(
    stem: str,
    place: dict[str, JSON],
    member: str,
    pointer: str,
    source: Source,
    escaped: bool,
) -> None:
    stream = Stream()
    stream.event(f"response.{stem}.delta", **place, delta="a sec")
    stream.event(f"response.{stem}.delta", **place, delta="ret")
    stream.event(f"response.{stem}.done", **place, **{member: "a secret"})
    stream.event("response.completed", response=snapshot("completed"))
    opened: list[Channel] = []

    def open_filters(channel: Channel) -> Sequence[tuple[str, ChannelFilter]]:
        opened.append(channel)
        return read_all(channel)

    guard = EventStreamGuard(RESPONSES, open_filters)
    out = run(guard, stream.data)
    assert guard.failure is None
    assert opened == [Channel(pointer, source, escaped)] * 2
    assert out.count(b"a [x]") == 2
    assert b"secret" not in out


def test_a_part_done_closes_its_texts() -> None:
    stream = Stream().event("response.output_text.delta", **PLACE, delta="held")
    stream.event("response.content_part.done", **PLACE, part=text_part("held"))
    stream.event("response.completed", response=snapshot("completed"))
    _, events = guarded(stream.data)
    assert [e.get("delta") for e in events] == ["", "held", None, None]


def test_annotations_have_their_place() -> None:
    annotation: JSON = {"type": "url_citation", "title": "a secret", "url": "https://x"}
    stream = Stream().event(
        "response.output_text.annotation.added",
        **PLACE,
        annotation_index=3,
        annotation=annotation,
    )
    stream.event("response.completed", response=snapshot("completed"))
    guard, events = guarded(stream.data)
    assert events[0]["annotation"] == {**annotation, "title": "a [x]"}  # type: ignore[dict-item]
    assert guard.findings[0].span == Span("/output/0/content/0/annotations/3/title", 2, 8)


def test_what_repeats_the_request_is_read_under_its_source() -> None:
    sources: dict[str, Source] = {}

    def open_filters(channel: Channel) -> Sequence[tuple[str, ChannelFilter]]:
        sources[channel.pointer] = channel.source
        return ()

    stream = Stream().event(
        "response.completed",
        response=snapshot("completed", instructions="be nice", metadata={"k": "v w"}),
    )
    run(EventStreamGuard(RESPONSES, open_filters), stream.data)
    assert sources == {"/instructions": Source.SYSTEM, "/metadata/k": Source.USER}


def test_log_probabilities_of_inspected_text_are_emptied() -> None:
    logprobs: JSON = [{"token": "secret", "logprob": -0.1}]
    part: JSON = {"type": "output_text", "text": "secret", "logprobs": logprobs}
    stream = Stream().event(
        "response.output_text.delta", **PLACE, delta="secret", logprobs=logprobs
    )
    stream.event("response.output_text.done", **PLACE, text="secret", logprobs=logprobs)
    stream.event("response.content_part.done", **PLACE, part=part)
    stream.event("response.completed", response=snapshot("completed", item(part)))
    guarded(stream.data)


def test_a_failure_of_the_upstream_passes_after_inspection() -> None:
    stream = Stream().event("response.output_text.delta", **PLACE, delta="held")
    stream.event("error", code="server_error", message="a secret", param=None)
    guard, events = guarded(stream.data)
    assert [e.get("delta") for e in events[:2]] == ["", "held"]
    assert events[2]["message"] == "a [x]"
    assert [e["sequence_number"] for e in events] == [0, 1, 2]
    assert guard.finished
    failed = Stream().event(
        "response.failed", response=snapshot("failed", error={"code": "x", "message": "a secret"})
    )
    guarded(failed.data)


def test_openais_other_end_is_accepted() -> None:
    guard = EventStreamGuard(RESPONSES, read_all)
    data = message("a").data
    assert run(guard, data + b"data: [DONE]\n\n").endswith(b"data: [DONE]\n\n")
    assert guard.failure is None


def test_a_cut_off_stream_says_so() -> None:
    stream = Stream().event("response.output_text.delta", **PLACE, delta="held")
    guard = EventStreamGuard(RESPONSES, read_all)
    out = run(guard, stream.data)
    assert guard.failure is not None
    assert guard.failure.code == "stream_truncated"
    events = [json.loads(e.split(b"data: ")[1]) for e in out.split(b"\n\n") if e]
    assert [e.get("delta") for e in events] == ["", "held", None]
    assert [e["sequence_number"] for e in events[:2]] == [0, 1]


def raw(kind: str, **fields: JSON) -> bytes:
    return Stream().event(kind, **fields).data


BROKEN: dict[str, bytes] = {
    "name and type differ": b'event: response.created\ndata: {"type":"error"}\n\n',
    "no type": b"data: {}\n\n",
    "type a text": b'data: {"type":"a text"}\n\n',
    "not JSON": b"data: {\n\n",
    "chat": b'data: {"choices":[]}\n\n',
    "no index": raw("response.output_text.delta", delta="x"),
    "index a text": raw("response.output_text.delta", **{**PLACE, "output_index": "0"}, delta="x"),
    "no content index": raw("response.output_text.delta", output_index=0, delta="x"),
    "item no object": raw("response.output_item.added", output_index=0, item="x"),
    "item without type": raw("response.output_item.added", output_index=0, item={}),
    "part no object": raw("response.content_part.added", **PLACE, part="x"),
    "response no object": raw("response.created", response="x"),
    "output no array": raw("response.created", response={"output": "x"}),
    "a key that is a text": raw("response.queued", **{"a secret key": 1}),
    "such a key in a response": raw("response.created", response={"a secret key": 1}),
    "an image": raw(
        "response.image_generation_call.partial_image",
        output_index=0,
        partial_image_b64="iVBORw==",
    ),
    "text after it was done": raw("response.output_text.done", **PLACE, text="")
    + raw("response.output_text.delta", **PLACE, delta="more"),
    "anything after the end": raw("response.completed", response=snapshot("completed"))
    + raw("response.output_text.delta", **PLACE, delta="more"),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_cannot_be_read_ends_the_stream(data: bytes, size: int) -> None:
    guard = EventStreamGuard(RESPONSES, read_all)
    good = raw("response.output_text.delta", **PLACE, delta="")
    never = raw("response.output_text.delta", **PLACE, delta="never")
    out = run(guard, good + data + never, size)
    assert guard.failure is not None
    assert guard.fault is None
    assert out.startswith(good)
    assert b"never" not in out
    assert b"secret" not in out
    assert out.count(b"event: error") == 1


def test_unknown_events_are_read_whole() -> None:
    stream = Stream().event("response.hologram.ready", note={"deep": "a secret"})
    stream.event("response.hologram.delta", **PLACE, delta={"x": "a secret"})
    stream.event("response.completed", response=snapshot("completed"))
    _, events = guarded(stream.data)
    assert events[0]["note"] == {"deep": "a [x]"}
    assert events[1]["delta"] == {"x": "a [x]"}


def test_every_cut_gives_the_same_bytes() -> None:
    data = message("é sec", "ret").data
    expected = run(EventStreamGuard(RESPONSES, read_all), data)
    assert b"[x]" in expected
    for cut in range(0, len(data), 3):
        guard = EventStreamGuard(RESPONSES, read_all)
        assert guard.feed(data[:cut]) + guard.feed(data[cut:]) + guard.close() == expected
