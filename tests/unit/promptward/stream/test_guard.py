"""The guard: what passes, what changes, what ends a stream; the same for every cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from promptward.errors import ExchangeError
from promptward.findings import CoverageState, Finding
from promptward.llm import Usage
from promptward.protocols import PROTOCOLS, Channel
from promptward.stream.channels import ChannelBlocked, ChannelFilter
from promptward.stream.guard import EventStreamGuard, StreamLimits

CHAT = PROTOCOLS["openai.chat"]
DONE = b"data: [DONE]\n\n"


@dataclass
class Replace:
    """Replaces `secret` by `[x]`, holding what may still become it; `poison` is refused."""

    held: str = ""
    findings: list[Finding] = field(default_factory=list)

    def feed(self, text: str) -> str:
        self.held = (self.held + text).replace("secret", "[x]")
        if "poison" in self.held:
            raise ChannelBlocked(Refused())
        starts = [w[:n] for w in ("secret", "poison") for n in range(len(w))]
        keep = max(len(start) for start in starts if self.held.endswith(start))
        cut = len(self.held) - keep
        out, self.held = self.held[:cut], self.held[cut:]
        return out

    def close(self) -> str:
        out, self.held = self.held, ""
        return out


@dataclass(frozen=True)
class Refused:
    code: str = "content_blocked"
    message: str = "The answer was withheld."
    status: int = 400


def read_all(_: Channel) -> Sequence[tuple[str, ChannelFilter]]:
    return [("pii", Replace())]


def chunk(delta: object, finish: str | None = None, index: int = 0, **more: object) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return event_of({**event, "choices": [choice], **more})


def event_of(document: object) -> bytes:
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return b"data: " + text.encode() + b"\n\n"


def guard_of(**options: object) -> EventStreamGuard:
    return EventStreamGuard(CHAT, read_all, **options)  # type: ignore[arg-type]


def run(guard: EventStreamGuard, data: bytes, size: int = 1 << 20) -> bytes:
    out = b"".join(guard.feed(data[at : at + size]) for at in range(0, len(data), size))
    return out + guard.close()


def documents(out: bytes) -> list[dict[str, object]]:
    lines = [line[6:] for line in out.split(b"\n\n") if line.startswith(b"data: {")]
    return [json.loads(line) for line in lines]


def joined(out: bytes, *path: object) -> str:
    """The text a client assembles at `path` of the deltas."""
    text = ""
    for document in documents(out):
        for choice in document.get("choices", ()):  # type: ignore[attr-defined]
            value = choice["delta"]
            for token in path:
                if isinstance(value, list):
                    value = next((v for v in value if v["index"] == token), None)
                else:
                    value = value.get(token) if value else None
            text += value or ""
    return text


def content(*texts: str) -> bytes:
    return b"".join(chunk({"content": text}) for text in texts)


FINISH = chunk({}, "stop")


def test_untouched_events_pass_byte_for_byte() -> None:
    data = (
        b': ping\n\nevent: message\r\nid: 7\r\ndata: {"choices" : [ ]}\r\n\r\n'
        + chunk({"role": "assistant", "content": ""})
        + b'data: {"choices":[{"index":0, "delta":{"content":"h\\u00e9llo "}}]}\n\n'
        + FINISH
        + DONE
    )
    guard = guard_of()
    assert run(guard, data) == data
    assert guard.failure is None
    assert guard.finished


def test_a_match_across_events_is_replaced() -> None:
    guard = guard_of()
    out = run(guard, content("my sec", "re", "t is", " out") + FINISH + DONE)
    assert joined(out, "content") == "my [x] is out"
    assert b"sec" not in out
    assert guard.failure is None


def test_text_held_at_the_end_comes_before_the_finishing_event() -> None:
    out = run(guard_of(), content("a secre") + FINISH + DONE)
    events = documents(out)
    assert [e["choices"][0]["delta"] for e in events] == [  # type: ignore[index]
        {"content": "a "},
        {"content": "secre"},
        {},
    ]
    assert events[1] == {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": "secre"}, "finish_reason": None}],
    }
    assert out.endswith(DONE)


def test_text_held_at_the_end_goes_into_the_finishing_event_if_that_has_text() -> None:
    out = run(guard_of(), content("a se") + chunk({"content": "cre"}, "stop") + DONE)
    assert [e["choices"][0]["delta"] for e in documents(out)] == [  # type: ignore[index]
        {"content": "a "},
        {"content": "secre"},
    ]


def test_choices_do_not_mix() -> None:
    data = (
        chunk({"content": "sec"}, index=0)
        + chunk({"content": "sec"}, index=1)
        + chunk({"content": "ret"}, index=1)
        + chunk({"content": "ond"}, index=0)
        + chunk({}, "stop", index=0)
        + chunk({}, "stop", index=1)
        + DONE
    )
    out = run(guard_of(), data)
    texts: dict[int, str] = {}
    for document in documents(out):
        for choice in document["choices"]:  # type: ignore[attr-defined]
            index = choice["index"]
            texts[index] = texts.get(index, "") + choice["delta"].get("content", "")
    assert texts == {0: "second", 1: "[x]"}


def call(index: int, arguments: str, **more: object) -> bytes:
    item = {"index": index, "function": {"arguments": arguments}, **more}
    return chunk({"tool_calls": [item]})


def test_tool_calls_are_channels_of_their_own() -> None:
    data = call(0, '{"a":"sec') + call(0, 'ret"}') + call(1, '{"b":"se') + call(1, 'cre"}')
    out = run(guard_of(), data + chunk({}, "tool_calls") + DONE)
    assert joined(out, "tool_calls", 0, "function", "arguments") == '{"a":"[x]"}'
    assert joined(out, "tool_calls", 1, "function", "arguments") == '{"b":"secre"}'


def test_a_tool_call_is_complete_before_the_next_begins() -> None:
    out = run(guard_of(), call(0, "a se") + call(1, "b") + chunk({}, "tool_calls") + DONE)
    assert [e["choices"][0]["delta"].get("tool_calls") for e in documents(out)] == [  # type: ignore[index]
        [{"index": 0, "function": {"arguments": "a "}}],
        [{"index": 0, "function": {"arguments": "se"}}],
        [{"index": 1, "function": {"arguments": "b"}}],
        None,
    ]


def test_going_back_to_a_finished_tool_call_is_refused() -> None:
    guard = guard_of()
    out = run(guard, call(0, "a") + call(1, "b") + call(0, "c") + DONE)
    assert guard.failure is not None
    assert guard.failure.code == "text_after_end"
    assert b'"c"' not in out


def test_names_and_ids_are_not_held_back() -> None:
    first = {"index": 0, "id": "call_sec", "type": "function"}
    item = {**first, "function": {"name": "sec", "arguments": ""}}
    out = run(guard_of(), chunk({"tool_calls": [item]}) + call(0, "{}") + DONE)
    assert documents(out)[0]["choices"][0]["delta"]["tool_calls"] == [item]  # type: ignore[index]


@pytest.mark.parametrize(
    "key", ["content", "refusal", "reasoning_content", "reasoning", "vendor_text"]
)
def test_every_text_of_a_delta_is_read(key: str) -> None:
    out = run(guard_of(), chunk({key: "a sec"}) + chunk({key: "ret"}) + FINISH + DONE)
    assert joined(out, key) == "a [x]"


def test_legacy_function_call_and_nested_parts_are_read() -> None:
    data = (
        chunk({"function_call": {"name": "f", "arguments": '{"sec'}})
        + chunk({"function_call": {"arguments": 'ret"}'}})
        + chunk({"content": [{"type": "text", "text": "sec"}]})
        + chunk({"content": [{"type": "text", "text": "ret."}]})
        + chunk({"reasoning_details": [{"type": "reasoning.text", "text": "secret", "index": 0}]})
    )
    out = run(guard_of(), data + FINISH + DONE)
    assert joined(out, "function_call", "arguments") == '{"[x]"}'
    assert b"sec" not in out
    assert out.count(b"[x]") == 3


def test_texts_outside_the_delta_are_read_whole() -> None:
    event = chunk({"content": ""}, citations=["https://x/secret"], provider="a secret b")
    out = run(guard_of(), event + FINISH + DONE)
    assert documents(out)[0]["citations"] == ["https://x/[x]"]
    assert documents(out)[0]["provider"] == "a [x] b"


def test_log_probabilities_of_inspected_text_are_taken_out() -> None:
    choice = {
        "index": 0,
        "delta": {"content": "secret"},
        "logprobs": {"content": [{"token": "secret", "logprob": -0.1}]},
        "finish_reason": None,
    }
    data = event_of({"choices": [choice]}) + FINISH + DONE
    assert documents(run(guard_of(), data))[0]["choices"][0]["logprobs"] is None  # type: ignore[index]
    unread = EventStreamGuard(CHAT, lambda _: [])
    assert run(unread, data) == data


USAGE = event_of({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}})


def test_usage_is_reported_and_passed_on() -> None:
    guard = guard_of()
    data = content("a") + FINISH + USAGE + DONE
    assert run(guard, data) == data
    assert guard.usage == Usage(5, 7)
    assert guard.output_chars == 1


def test_an_injected_usage_report_is_taken_out_without_a_trace() -> None:
    guard = guard_of(drop_usage=True)
    plain = [chunk({"content": "a"}), FINISH]
    with_null = [event[:-3] + b',"usage":null}\n\n' for event in plain]
    assert run(guard, b"".join(with_null) + USAGE + DONE) == b"".join(plain) + DONE
    assert guard.usage == Usage(5, 7)


def test_usage_beside_a_choice_is_taken_out_too() -> None:
    guard = guard_of(drop_usage=True)
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    out = run(guard, chunk({"content": "a"}) + chunk({}, "stop", usage=usage) + DONE)
    assert out == chunk({"content": "a"}) + FINISH + DONE
    assert guard.usage == Usage(1, 2)


def test_a_filter_may_end_the_stream() -> None:
    guard = guard_of()
    out = guard.feed(content("fine", " poi", "son", " more"))
    assert guard.blocked
    assert guard.failure is not None
    assert guard.failure.code == "content_blocked"
    assert guard.failure.category == "content"
    expected = CHAT.stream_error(400, "content_blocked", "content", "The answer was withheld.")
    assert out == content("fine", " ") + expected
    assert expected.endswith(DONE)
    assert guard.feed(content("again")) == b""
    assert guard.close() == b""


BROKEN = {
    "broken JSON": (b"data: {\n\n", "unexpected_event"),
    "duplicate key": (b'data: {"choices":[],"choices":[]}\n\n', "unexpected_event"),
    "not UTF-8": (b"data: \xff\n\n", "unexpected_event"),
    "name not UTF-8": (b'event: \xff\ndata: {"choices":[]}\n\n', "invalid_utf8"),
    "comment not UTF-8": (b": \xff\n\n", "invalid_utf8"),
    "not an object": (b"data: []\n\n", "unexpected_event"),
    "no choices": (b'data: {"id":"x"}\n\n', "unexpected_event"),
    "choices no array": (b'data: {"choices":{}}\n\n', "unexpected_event"),
    "choice no object": (b'data: {"choices":["x"]}\n\n', "unexpected_event"),
    "delta no object": (chunk("text"), "unexpected_event"),
    "index no number": (b'data: {"choices":[{"index":"0","delta":{}}]}\n\n', "unexpected_event"),
    "index too large": (chunk({}, index=5000), "unexpected_event"),
    "content a number": (chunk({"content": 5}), "unexpected_event"),
    "refusal an array": (chunk({"refusal": ["x"]}), "unexpected_event"),
    "tool calls no array": (chunk({"tool_calls": {"a": 1}}), "unexpected_event"),
    "tool call no object": (chunk({"tool_calls": ["a"]}), "unexpected_event"),
    "a key that would change": (chunk({"x": {"a secret key": "v"}}), "unexpected_event"),
    "an odd key of a channel": (chunk({"an odd key": "v"}), "unexpected_event"),
    "a delta key that is a text": (chunk({"a secret key": "v"}), "unexpected_event"),
    "such a key of null": (chunk({"a secret key": None}), "unexpected_event"),
    "such a key of an object": (chunk({"a secret key": {}}), "unexpected_event"),
    "such a key of a choice": (
        b'data: {"choices":[{"a secret key":null,"delta":{}}]}\n\n',
        "unexpected_event",
    ),
    "such a key of the event": (
        event_of({"choices": [], "a secret key": None}),
        "unexpected_event",
    ),
    "such an event name": (b'event: a secret\ndata: {"choices":[]}\n\n', "unexpected_event"),
    "plain text": (b"data: hello\n\n", "unexpected_event"),
    "a half event at the end": (b'data: {"choices":[{"ind', "unexpected_event"),
    "audio": (chunk({"audio": {"id": "a", "data": "UklGRg=="}}), "uninspectable_content"),
    "text after the finish": (FINISH + content("more"), "text_after_end"),
}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_what_cannot_be_read_ends_the_stream(data: bytes, code: str, size: int) -> None:
    guard = guard_of()
    out = run(guard, content("fine") + data + content("never") + DONE, size)
    assert guard.failure is not None
    assert guard.failure.code == code
    assert guard.fault is None
    error = documents(out)[-1]["error"]
    assert isinstance(error, dict)
    assert error["code"] == code
    assert out.startswith(content("fine"))
    assert out.endswith(DONE)
    assert out.count(b"[DONE]") == 1
    assert b"never" not in out
    assert b"secret" not in out


def test_an_event_too_large_ends_the_stream() -> None:
    guard = guard_of(limits=StreamLimits(max_event_bytes=300))
    out = run(guard, content("fine", "x" * 400), 7)
    assert guard.failure is not None
    assert guard.failure.code == "event_too_large"
    assert out.startswith(content("fine"))
    assert guard.retained_bytes_bound == 300 + 512 * 8192 * 4


def test_a_stream_that_is_cut_off_says_so() -> None:
    guard = guard_of()
    out = run(guard, content("a secre"))
    assert joined(out.partition(b'data: {"error"')[0], "content") == "a secre"
    assert guard.failure is not None
    assert guard.failure.code == "stream_truncated"
    assert not guard.finished


def test_an_empty_stream_is_cut_off() -> None:
    guard = guard_of()
    guard.close()
    assert guard.failure is not None
    assert guard.failure.code == "stream_truncated"


def test_a_stream_without_its_last_event_is_whole_when_every_choice_finished() -> None:
    guard = guard_of()
    assert run(guard, content("a") + FINISH) == content("a") + FINISH
    assert guard.failure is None
    assert guard.finished


def test_nothing_passes_behind_the_last_event() -> None:
    guard = guard_of()
    assert run(guard, content("a") + FINISH + DONE + content("b")) == content("a") + FINISH + DONE
    assert guard.blocked
    assert guard.failure is not None
    assert guard.failure.code == "data_after_end"


def test_empty_heartbeats_pass() -> None:
    data = b"data:\n\n" + content("a") + b"event: ping\ndata: \n\n" + FINISH + DONE
    guard = guard_of()
    assert run(guard, data) == data
    assert guard.failure is None


def test_comments_may_follow_the_last_event() -> None:
    guard = guard_of()
    data = FINISH + DONE + b": bye\n\n\n"
    assert run(guard, data) == data
    assert not guard.blocked


def test_an_error_of_the_upstream_passes_after_inspection() -> None:
    guard = guard_of()
    error = event_of({"error": {"message": "no secret left", "type": "server_error", "code": 500}})
    out = run(guard, content("a se") + error)
    assert joined(out.partition(b'data: {"error"')[0], "content") == "a se"
    assert documents(out)[-1] == {
        "error": {"message": "no [x] left", "type": "server_error", "code": 500}
    }
    assert guard.failure is None


def test_keys_that_may_be_texts_are_read_and_pass_unchanged() -> None:
    guard = guard_of()
    data = chunk({"content": "a", "x": {"an odd key": [1]}}, x={"p50Time": "v w"})
    assert run(guard, data + FINISH + DONE) == data + FINISH + DONE
    assert [e.pointer for e in guard.coverage] == [
        "/choices/0/message/content",
        "/choices/0/delta/x/*#",
        "/x/*#",
        "/x/*",
    ]


def test_lines_beside_the_data_are_read_too() -> None:
    data = b": a secret\nid: secret\nid: 7\nevent: secret\nevent: message\n" + content("hi")
    out = run(guard_of(), data + b": secret\n\n" + FINISH + DONE)
    assert out == b"id: 7\nevent: message\n" + content("hi") + FINISH + DONE


def test_a_bug_in_a_filter_ends_the_stream() -> None:
    class Broken(Replace):
        def feed(self, text: str) -> str:
            raise RuntimeError(text)

    guard = EventStreamGuard(CHAT, lambda _: [("x", Broken())])
    out = run(guard, content("c4nary") + DONE)
    assert guard.failure is not None
    assert guard.failure.code == "internal_error"
    assert isinstance(guard.fault, RuntimeError)
    assert b"c4nary" not in out


def test_a_filter_that_loses_its_window_ends_the_stream() -> None:
    class Window(Replace):
        def feed(self, text: str) -> str:
            raise ExchangeError("stream_window_exceeded", "too long", 502)

    guard = EventStreamGuard(CHAT, lambda _: [("x", Window())])
    run(guard, content("x") + DONE)
    assert guard.failure is not None
    assert (guard.failure.code, guard.failure.category) == ("stream_window_exceeded", "unavailable")


def test_opaque_parts_may_be_let_through() -> None:
    guard = guard_of(block_opaque=False)
    audio = chunk({"audio": {"id": "a", "data": "UklGRg==", "transcript": "a secret"}})
    out = run(guard, audio + FINISH + DONE)
    assert guard.failure is None
    assert b"UklGRg==" in out
    assert b"secret" not in out
    assert [(e.pointer, e.state, e.reason) for e in guard.coverage if e.reason] == [
        ("/choices/0/message/audio", CoverageState.UNINSPECTABLE, "audio")
    ]


def test_coverage_names_every_text() -> None:
    guard = guard_of()
    run(guard, content("a") + call(0, "{}") + chunk({"refusal": "r"}) + FINISH + DONE)
    assert [(e.pointer, e.state, e.checks) for e in guard.coverage] == [
        ("/choices/0/message/content", CoverageState.INSPECTED, ("pii",)),
        (
            "/choices/0/message/tool_calls/0/function/arguments",
            CoverageState.INSPECTED,
            ("pii",),
        ),
        ("/choices/0/message/refusal", CoverageState.INSPECTED, ("pii",)),
    ]


def test_every_cut_gives_the_same_bytes() -> None:
    data = (
        b": hi\r\n\r\n"
        + content("naïve 😀 sec", "ret, se")
        + call(0, '{"x":"sec')
        + call(0, 'ret"}')
        + chunk({"content": "cret"}, "stop").replace(b"\n\n", b"\r\r")
        + USAGE
        + DONE
    )
    expected = run(guard_of(), data)
    assert expected.count(b"[x]") == 3
    for size in (1, 2, 3, 5, 17):
        assert run(guard_of(), data, size) == expected
    for cut in range(len(data)):
        guard = guard_of()
        assert guard.feed(data[:cut]) + guard.feed(data[cut:]) + guard.close() == expected
