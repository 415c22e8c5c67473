"""ext_proc on the real Envoy: what passes, what is changed, and that nothing passes unread."""

from __future__ import annotations

import gzip
import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from promptward_envoy.testing.stack import HOST, chat_body, running_stack, start_upstream, wait_for

pytestmark = pytest.mark.envoy


def test_allowed_request_reaches_upstream_with_its_header_changes(stack) -> None:
    before = len(stack.upstream_bodies())
    answer = stack.chat("hello")
    assert answer.status == 200
    assert answer.json["choices"][0]["message"]["content"] == "You said: hello"
    assert answer.header("x-checked") == "yes"
    assert answer.header("x-ratelimit-remaining") == "7"
    assert len(stack.upstream_bodies()) == before + 1


def test_request_body_is_redacted_before_the_upstream_sees_it(stack) -> None:
    answer = stack.chat("my SECRET is out", script="redact")
    assert answer.status == 200
    assert stack.upstream_bodies()[-1]["messages"][0]["content"] == "my [redacted] is out"


def test_response_body_is_redacted_and_whole(stack) -> None:
    answer = stack.chat("tell SECRET")
    assert b"SECRET" not in answer.body
    assert answer.json["choices"][0]["message"]["content"] == "You said: tell [redacted]"
    # Full duplex is chunked; a content-length left over from the upstream would cut the body.
    assert answer.header("content-length") in (None, str(len(answer.body)))


def test_stream_is_redacted_across_chunk_borders(stack) -> None:
    answer = stack.chat("a SECRET b [[split:500]]", stream=True)
    assert answer.status == 200
    assert b"SECRET" not in answer.body
    assert b"[redacted]" in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.header("x-stream") == "guarded"


def test_denial_carries_status_headers_and_body(stack) -> None:
    before = len(stack.upstream_bodies())
    answer = stack.chat("hello", script="deny")
    assert (answer.status, answer.json["error"]["code"]) == (403, "scripted")
    assert answer.header("content-type") == "application/json"
    assert answer.header("retry-after") == "3"
    assert len(stack.upstream_bodies()) == before


def test_denied_response_replaces_the_upstreams_answer(stack) -> None:
    answer = stack.chat("SECRET", script="deny-response")
    assert answer.status == 400
    assert answer.json["error"]["code"] == "scripted"


@pytest.mark.parametrize("script", ["raise", "hang"])
def test_fault_in_the_request_phase_never_reaches_the_upstream(stack, script) -> None:
    before = len(stack.upstream_bodies())
    answer = stack.chat("hello", script=script)
    assert answer.status == 503
    assert len(stack.upstream_bodies()) == before


@pytest.mark.parametrize("script", ["raise-response", "hang-response"])
def test_fault_in_the_response_phase_never_shows_the_response(stack, script) -> None:
    answer = stack.chat("SECRET", script=script)
    assert answer.status == 503
    assert b"SECRET" not in answer.body
    assert b"said" not in answer.body


def test_faults_are_logged_without_their_text(stack) -> None:
    stack.chat("hello", script="raise")
    log = (stack.directory / "service.log").read_text()
    assert "RuntimeError" in log
    assert "canary-7f3a" not in log


def test_blocked_stream_ends_cleanly_and_the_upstream_is_cut(stack) -> None:
    answer = stack.chat("x BLOCKME y [[split:500]] [[slow:50]]", stream=True)
    assert answer.status == 200
    assert not answer.cut
    assert b"BLOCKME" not in answer.body
    assert answer.body.endswith(b'data: {"error":"blocked"}\n\n')
    stack.wait_for_event(event="close_stream", end="blocked")


def test_gzip_stream_is_inflated_and_redacted(stack) -> None:
    answer = stack.chat("SECRET [[gzip]] [[split:500]]", stream=True)
    assert answer.header("content-encoding") is None
    assert b"[redacted]" in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip"])
def test_stream_in_an_unreadable_coding_is_refused(stack, coding) -> None:
    # `gzip` here is a lie: the body is not compressed.
    answer = stack.chat(f"SECRET [[coding:{coding}]]", stream=True)
    assert b"SECRET" not in answer.body
    assert answer.cut or answer.status == 503


def test_gzip_request_body_arrives_as_it_was_sent(stack) -> None:
    packed = gzip.compress(b'{"messages": []}', mtime=0)
    stack.request(packed, headers={"content-encoding": "gzip"})
    received = stack.last_event("on_request")
    assert received["body"].encode("latin-1") == packed
    assert ["content-encoding", "gzip"] in received["headers"]


def test_upstream_is_asked_for_identity(stack) -> None:
    answer = stack.request(chat_body("hi"), headers={"accept-encoding": "gzip, br"})
    assert answer.header("x-demo-accept-encoding") == "identity"


def test_chunked_request_is_read_whole(stack) -> None:
    document = json.dumps({"messages": [{"role": "user", "content": "SECRET chunks"}]}).encode()
    pieces = (document[i : i + 5] for i in range(0, len(document), 5))
    answer = stack.request(pieces, script="redact")
    assert answer.status == 200
    assert stack.upstream_bodies()[-1]["messages"][0]["content"] == "[redacted] chunks"


def test_request_over_the_buffer_limit_is_413(make_stack) -> None:
    with make_stack(buffer_limit_bytes=64 * 1024) as small:
        answer = small.chat("x" * 100_000)
        assert answer.status == 413
        assert small.upstream_bodies() == []


def test_response_over_envoys_buffer_limit_is_redacted_whole(make_stack) -> None:
    with make_stack(buffer_limit_bytes=64 * 1024) as small:
        answer = small.chat("SECRET [[repeat:200]]")
        assert answer.status == 200
        assert b"SECRET" not in answer.body
        assert len(answer.json["choices"][0]["message"]["content"]) > 200 * 1024


def test_response_over_the_services_limit_is_refused(stack) -> None:
    answer = stack.chat("SECRET [[repeat:5000]]")
    assert answer.status == 503
    assert b"SECRET" not in answer.body


def test_large_body_within_the_limit_passes_whole(stack) -> None:
    text = "SECRET" + "y" * 2_000_000
    answer = stack.chat(text, script="redact")
    assert answer.status == 200
    assert stack.upstream_bodies()[-1]["messages"][0]["content"] == "[redacted]" + "y" * 2_000_000
    assert len(answer.body) > 2_000_000


def test_cut_whole_response_is_not_shown(stack) -> None:
    answer = stack.chat("SECRET [[cut:0]]")
    assert answer.cut or answer.status >= 500
    assert b"SECRET" not in answer.body


def test_cut_stream_is_charged(stack) -> None:
    answer = stack.chat("hello [[cut:3]]", stream=True)
    assert answer.cut or b"[DONE]" not in answer.body
    opened = stack.last_event("open_stream")
    stack.wait_for_event(event="close_stream", id=opened["id"])


def test_client_that_leaves_in_mid_stream_is_settled(stack) -> None:
    connection = http.client.HTTPConnection(HOST, stack.port, timeout=10)
    body = chat_body("long [[repeat:2]] [[slow:20]]", stream=True)
    connection.request("POST", "/v1/chat/completions", body)
    response = connection.getresponse()
    assert response.read(20)
    opened = stack.last_event("open_stream")
    response.close()
    connection.close()
    event = stack.wait_for_event(event="close_stream", id=opened["id"])
    assert event["end"] == "client_gone"


def test_client_that_leaves_before_the_answer_is_settled(stack) -> None:
    """The upstream still thinks (its first chunk is slow to come) when the client goes."""
    connection = http.client.HTTPConnection(HOST, stack.port, timeout=10)
    seen = len(stack.upstream_bodies())
    connection.request(
        "POST", "/v1/chat/completions", chat_body("x [[think:5000]]"), {"x-script": "leaves-early"}
    )
    wait_for("the upstream to be asked", lambda: len(stack.upstream_bodies()) > seen)
    connection.close()
    asked = stack.wait_for_event(event="on_request", script="leaves-early")
    stack.wait_for_event(event="on_no_response", id=asked["id"], reason="client_gone")


def test_request_without_a_body_is_decided(stack) -> None:
    answer = stack.request(None, method="GET", path="/v1/models?limit=1", script="pass")
    assert answer.status == 200
    asked = stack.last_event("on_request")
    assert (asked["method"], asked["path"], asked["body"]) == ("GET", "/v1/models?limit=1", "")
    denied = stack.request(None, method="GET", path="/v1/models", script="deny")
    assert denied.status == 403


def test_unneeded_response_is_not_sent_to_the_service(stack) -> None:
    answer = stack.chat("SECRET stays", script="pass")
    assert b"SECRET stays" in answer.body
    asked = stack.last_event("on_request")
    stack.wait_for_event(event="on_unseen_response", id=asked["id"], status=200)


def test_exchange_shows_route_peer_and_repeated_headers(stack) -> None:
    pairs = [("x-script", "deny"), ("x-a", "1"), ("x-a", "2"), ("x-forwarded-for", "9.9.9.9")]
    stack.request(b"{}", headers=pairs)
    asked = stack.last_event("on_request")
    assert asked["route"] == "llm"
    assert asked["peer"].startswith("127.")
    assert [v for n, v in asked["headers"] if n == "x-a"] == ["1", "2"]
    assert not [n for n, _ in asked["headers"] if n.startswith(":")]


def test_response_without_a_body_is_settled(stack) -> None:
    answer = stack.request(None, method="HEAD", path="/v1/models")
    assert answer.status == 200
    asked = stack.last_event("on_request")
    stack.wait_for_event(event="on_response", id=asked["id"], status=200)


def test_upstream_that_is_down_releases_the_reservation(envoy_binary, tmp_path) -> None:
    own = start_upstream(tmp_path)
    own.stop()
    with running_stack(envoy_binary, own) as stack:
        answer = stack.chat("hello")
        assert answer.status == 503
        assert answer.header("x-ratelimit-remaining") == "7"
        asked = stack.last_event("on_request")
        stack.wait_for_event(event="on_no_response", id=asked["id"], reason="upstream_error")


def test_upstreams_key_is_added_after_the_callers_is_removed(make_stack, monkeypatch) -> None:
    monkeypatch.setenv("UPSTREAM_API_KEY", "upstream-secret")
    with make_stack(upstream_key_variable="UPSTREAM_API_KEY") as stack:
        answer = stack.request(chat_body("hi"), headers={"authorization": "Bearer callers"})
        assert answer.header("x-demo-authorization") == "Bearer upstream-secret"
        assert "upstream-secret" not in (stack.directory / "envoy.json").read_text()


def test_unread_responses_pass_whole_while_their_first_chunks_race_the_override(stack) -> None:
    """Envoy may have sent us chunks before it learns that we need none."""
    chats = [
        ("x [[repeat:3000]]", {}),
        ("x [[repeat:20]] [[split:50]]", {"stream": True}),
        ("x [[repeat:1]] [[split:64]] [[slow:2]]", {"stream": True}),
        ("hi", {}),
    ]
    expected = [stack.chat(text, script="pass", **fields) for text, fields in chats]
    assert [a.body.count(b"x ") > 100 for a in expected[:1]] == [True]
    assert all(e.body.endswith(b"[DONE]\n\n") for e in expected[1:3])

    def again(number: int) -> bool:
        text, fields = chats[number % len(chats)]
        answer = stack.chat(text, script="pass", **fields)
        return (answer.status, answer.cut, answer.body) == (
            200,
            False,
            expected[number % len(chats)].body,
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(again, range(80)))
