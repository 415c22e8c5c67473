"""Transcripts of responses: relayed, held whole, or streamed through the guard."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Iterable

import pytest

from promptward.decision import Allow
from promptward.exchange import Body, Exchange, Headers
from promptward_envoy.admission import Admission
from promptward_envoy.ext_proc_response import ResponseSide, UnreadableStreamError
from promptward_envoy.metrics import Metrics
from promptward_envoy.offload import LARGE_BYTES, SideThread

JSON = ("content-type", "application/json")
SSE = ("content-type", "text/event-stream")
METRICS = Metrics()
ASIDE = SideThread(Admission(9, METRICS.in_flight), METRICS.large, 0.05)
RATE = (("x-ratelimit-remaining", "7"),)


@pytest.fixture
def respond(engine):
    """A granted exchange whose response is about to come."""

    def make(script: str = "") -> ResponseSide:
        exchange = Exchange(
            "POST", "h", "/", Headers([("x-script", script)]), Body(b"{}"), request_id="r1"
        )
        allow = asyncio.run(engine.on_request(exchange))
        assert isinstance(allow, Allow)
        return ResponseSide(engine, exchange, allow.ticket, RATE, 1000, METRICS, ASIDE)

    return make


def play(side: ResponseSide, script: Iterable[object]) -> list[object]:
    """All answers to messages, in order."""

    async def run() -> list[object]:
        answers: list[object] = []
        for message in script:
            kind = message.WhichOneof("request")
            if kind == "response_headers":
                answers += await side.on_headers(message)
            elif kind == "response_trailers":
                answers += await side.on_trailers()
            else:
                body = message.response_body
                answers += await side.on_body(body.body, ended=body.end_of_stream)
        return answers

    return asyncio.run(run())


def outcome(answers: list[object]) -> list[tuple[str, bytes, bool]]:
    """Kind, bytes and end mark of each answer."""
    seen = []
    for answer in answers:
        streamed = answer.response_body.response.body_mutation.streamed_response
        body = answer.immediate_response.body or streamed.body
        seen.append((answer.WhichOneof("response"), body, streamed.end_of_stream))
    return seen


def set_headers(answer, header_values) -> dict[str, str]:
    return header_values(answer.response_headers.response.header_mutation.set_headers)


def test_whole_body_waits_for_its_end_and_headers_go_first(
    respond, engine, messages, header_values
) -> None:
    side = respond()
    head = messages.response_headers(JSON, ("content-length", "8"))
    assert play(side, [head, messages.response_body(b"a SEC")]) == []
    assert side.deniable
    answers = play(side, [messages.response_body(b"RET b", ended=True)])
    assert outcome(answers) == [
        ("response_headers", b"", False),
        ("response_body", b"a [redacted] b", True),
    ]
    assert set_headers(answers[0], header_values) == {**dict(RATE), "x-checked": "yes"}
    assert side.settled
    assert len(engine.named("on_response")) == 1


def test_second_end_of_stream_is_dropped(respond, engine, messages) -> None:
    side = respond()
    play(side, [messages.response_headers(JSON), messages.response_body(b"x", ended=True)])
    assert play(side, [messages.response_body(b"x", ended=True)]) == []
    assert len(engine.named("on_response")) == 1


def test_whole_body_that_ends_with_trailers(respond, messages) -> None:
    side = respond()
    script = [messages.response_headers(JSON), messages.response_body(b"SECRET")]
    answers = play(side, [*script, messages.response_trailers()])
    assert outcome(answers) == [
        ("response_headers", b"", False),
        ("response_body", b"[redacted]", False),
        ("response_trailers", b"", False),
    ]


@pytest.mark.parametrize("ending", ["ended", "trailers"])
def test_denied_whole_body_is_replaced_by_the_denial_alone(respond, messages, ending) -> None:
    side = respond("deny-response")
    script = [messages.response_headers(JSON)]
    if ending == "ended":
        script += [messages.response_body(b"SECRET", ended=True)]
    else:
        script += [messages.response_body(b"SECRET"), messages.response_trailers()]
    ((kind, body, _),) = outcome(play(side, script))
    assert kind == "immediate_response"
    assert b"SECRET" not in body
    assert not side.deniable


def test_response_that_ends_with_its_headers(respond, engine, messages) -> None:
    side = respond()
    answers = play(side, [messages.response_headers(status=204, ended=True)])
    assert outcome(answers) == [("response_headers", b"", False)]
    assert engine.named("on_response")[0]["status"] == 204


def test_body_too_large_to_hold_is_never_shown_redacted_in_part(respond, messages) -> None:
    side = respond()
    answers = play(side, [messages.response_headers(JSON), messages.response_body(b"SECRET" * 200)])
    ((kind, body, _),) = outcome(answers)
    assert (kind, b"SECRET" in body) == ("immediate_response", False)
    assert side.settled


def test_body_too_large_to_hold_goes_on_when_the_engine_lets_it(respond, messages) -> None:
    side = respond()
    answers = play(
        side,
        [
            messages.response_headers(JSON),
            messages.response_body(b"y" * 1001),
            messages.response_body(b"z", ended=True),
        ],
    )
    assert outcome(answers) == [
        ("response_headers", b"", False),
        ("response_body", b"y" * 1001, False),
        ("response_body", b"z", True),
    ]


def test_pass_is_settled_at_its_headers_and_relayed_if_it_comes(respond, engine, messages) -> None:
    side = respond("pass")
    (head,) = play(side, [messages.response_headers(JSON, status=201)])
    assert head.mode_override.response_body_mode == 0
    assert engine.named("on_unseen_response")[0]["status"] == 201
    rest = [messages.response_body(b"SECRET", ended=False), messages.response_trailers()]
    assert outcome(play(side, rest)) == [
        ("response_body", b"SECRET", False),
        ("response_trailers", b"", False),
    ]


def test_envoys_own_reply_releases_the_reservation(
    respond, engine, messages, header_values
) -> None:
    side = respond()
    reply = messages.response_headers(status=503, details="no_healthy_upstream")
    (head,) = play(side, [reply])
    assert set_headers(head, header_values) == dict(RATE)
    assert engine.named("on_no_response")[0]["reason"] == "upstream_error"
    assert side.settled


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_stream_is_the_same_for_every_cut(respond, messages, size) -> None:
    text = b"data: a SECRET b\n\ndata: [DONE]\n\n"
    side = respond()
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    script = [messages.response_headers(SSE, ("content-length", "31"))]
    script += [messages.response_body(p) for p in pieces]
    answers = play(side, [*script, messages.response_body(b"", ended=True)])
    seen = outcome(answers)
    assert b"".join(body for _, body, _ in seen) == text.replace(b"SECRET", b"[redacted]")
    assert [ended for _, _, ended in seen].count(True) == 1
    assert seen[-1][2]
    removed = answers[0].response_headers.response.header_mutation.remove_headers
    assert "content-length" in removed


def test_chunk_that_is_held_back_is_not_answered(respond, messages) -> None:
    side = respond()
    play(side, [messages.response_headers(SSE)])
    assert play(side, [messages.response_body(b"abc")]) == []


def test_stream_that_ends_with_trailers(respond, engine, messages) -> None:
    side = respond()
    script = [messages.response_headers(SSE), messages.response_body(b"data: x\n\n")]
    answers = play(side, [*script, messages.response_trailers()])
    seen = outcome(answers)
    assert [kind for kind, _, _ in seen][-1] == "response_trailers"
    assert b"".join(body for _, body, _ in seen) == b"data: x\n\n"
    assert engine.named("close_stream")[0]["end"] == "complete"


def test_blocked_stream_ends_at_once_and_drops_the_rest(respond, engine, messages) -> None:
    side = respond()
    script = [messages.response_headers(SSE), messages.response_body(b"data: x BLOCKME y\n\n")]
    seen = outcome(play(side, script))
    assert seen[-1] == ("response_body", b'data: x \n\ndata: {"error":"blocked"}\n\n', True)
    assert engine.named("close_stream")[0]["end"] == "blocked"
    assert play(side, [messages.response_body(b"more", ended=True)]) == []
    assert play(side, [messages.response_trailers()]) == []


def test_compressed_stream_is_inflated_and_says_so(respond, messages) -> None:
    side = respond()
    packed = gzip.compress(b"data: SECRET\n\n", mtime=0)
    script = [messages.response_headers(SSE, ("content-encoding", "gzip"))]
    script += [messages.response_body(packed[:9]), messages.response_body(packed[9:], ended=True)]
    answers = play(side, script)
    assert b"".join(b for _, b, _ in outcome(answers)) == b"data: [redacted]\n\n"
    removed = answers[0].response_headers.response.header_mutation.remove_headers
    assert "content-encoding" in removed


def test_stream_in_an_unknown_coding_is_denied_and_settled(respond, engine, messages) -> None:
    side = respond()
    answers = play(side, [messages.response_headers(SSE, ("content-encoding", "br"))])
    assert answers[0].immediate_response.status.code == 503
    assert side.settled
    assert len(engine.named("on_unseen_response")) == 1


def test_stream_that_is_not_what_it_says_cannot_go_on(respond, engine, messages) -> None:
    side = respond()
    script = [messages.response_headers(SSE, ("content-encoding", "gzip"))]
    with pytest.raises(UnreadableStreamError):
        play(side, [*script, messages.response_body(b"plain")])
    asyncio.run(side.abandon())
    assert engine.named("close_stream")[0]["end"] == "client_gone"


@pytest.mark.parametrize(("headers", "event"), [(SSE, "close_stream"), (JSON, "on_no_response")])
def test_client_that_leaves_is_settled_once(respond, engine, messages, headers, event) -> None:
    side = respond()
    play(side, [messages.response_headers(headers), messages.response_body(b"data: x\n\n")])
    asyncio.run(side.abandon())
    asyncio.run(side.abandon())
    (call,) = engine.named(event)
    assert "client_gone" in (call.get("end"), call.get("reason"))


def test_engines_headers_win_over_those_of_the_request(respond, messages, header_values) -> None:
    side = respond()
    side._answer_headers = (("x-checked", "old"), ("x-kept", "1"))
    script = [messages.response_headers(JSON), messages.response_body(b"x", ended=True)]
    assert set_headers(play(side, script)[0], header_values) == {"x-checked": "yes", "x-kept": "1"}


class WatchedGuard:
    """Gives everything out at its end, or at once; remembers in which thread each piece came."""

    blocked = False

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self._held = b""
        self.threads: list[int] = []

    def feed(self, data: bytes) -> bytes:
        self.threads.append(threading.get_ident())
        if self._at_once:
            return data
        self._held += data
        return b""

    def close(self) -> bytes:
        self.threads.append(threading.get_ident())
        return self._held


HALF = b"x" * (LARGE_BYTES // 2)


@pytest.mark.parametrize(
    ("at_once", "chunks", "aside"),
    [
        (True, [HALF, HALF, HALF], [False, False, False, False]),
        (True, [HALF, HALF + HALF, HALF], [False, True, False, False]),
        (False, [HALF, HALF, b"x"], [False, True, True, True]),
    ],
)
def test_large_pieces_of_a_stream_are_read_aside(
    engine, respond, messages, monkeypatch, at_once, chunks, aside
) -> None:
    """Small ones too, once so many have come without an answer that an event of theirs is large."""
    guard = WatchedGuard(at_once=at_once)
    monkeypatch.setattr(engine, "open_stream", lambda *_: guard)
    script = [messages.response_headers(SSE), *map(messages.response_body, chunks)]
    answers = play(respond(), [*script, messages.response_body(b"", ended=True)])
    assert b"".join(data for _, data, _ in outcome(answers)[1:]) == b"".join(chunks)
    assert [thread != threading.get_ident() for thread in guard.threads] == aside
