"""Nothing that a client or an upstream sends makes the engine fail: no bug, no 5xx of ours."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from promptward.decision import Allow, Deny
from promptward.engine import ResponseAllow, ResponsePlan, StreamEnd
from promptward.exchange import Body, Headers, Response
from promptward.sync import run_sync
from promptward.testing.fakes import TestBench, chat_exchange, policy_with

POLICY = policy_with(
    budgets=[{"id": "t", "limit": 10**12}],
    checks=[
        {"id": "i", "type": "prompt_injection"},
        {
            "id": "p",
            "type": "pii",
            "entities": [
                {"type": "EMAIL_ADDRESS", "action": "pseudonymize"},
                {"type": "PII"},
                {"type": "SECRET"},
            ],
        },
        {"id": "o", "type": "output"},
    ],
    parsing={"on_uninspectable": "flag"},
)
BENCH = TestBench(POLICY)

texts = st.text(max_size=60)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["role", "content", "type", "text", "tool_calls", "function", "arguments", "name", "image_url"]
    + ["tools", "n", "stream", "max_tokens", "model", "messages", "refusal", "audio", "choices"]
    + ["delta", "message", "index", "usage", "finish_reason", "logprobs", "error", "id"]
)
shaped = st.recursive(
    scalars | st.sampled_from(["user", "assistant", "tool", "text", "function", "stop"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)


def decide(body: bytes) -> Allow | Deny:
    BENCH.bugs.clear()
    decision = run_sync(BENCH.engine.on_request(chat_exchange(body)))
    assert BENCH.bugs == []
    if isinstance(decision, Deny):
        assert 400 <= decision.status < 500, decision
        assert json.loads(decision.body)["error"]["code"] == decision.code
    return decision


@given(st.binary(max_size=400))
def test_any_bytes(body: bytes) -> None:
    assert isinstance(decide(body), Deny)


@given(st.dictionaries(NAMES, shaped, max_size=6) | values)
def test_any_json(document: Any) -> None:
    decide(json.dumps(document).encode())


@given(st.lists(st.dictionaries(NAMES, shaped, max_size=5), max_size=3), shaped)
def test_any_messages(messages: Any, tools: Any) -> None:
    decide(json.dumps({"model": "m", "messages": messages, "tools": tools}).encode())


@given(texts)
def test_any_text_is_forwarded_or_refused(text: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    decision = decide(json.dumps(body).encode())
    if isinstance(decision, Allow) and decision.mutations.body is not None:
        json.loads(decision.mutations.body)


def _ticket() -> Any:
    decision = run_sync(BENCH.engine.on_request(chat_exchange()))
    assert isinstance(decision, Allow)
    return decision.ticket


@given(
    st.binary(max_size=200)
    | st.dictionaries(NAMES, shaped, max_size=5).map(lambda d: json.dumps(d).encode()),
    st.sampled_from(["application/json", "text/plain", "text/event-stream", "x/y", ""]),
    st.sampled_from([200, 204, 400, 500]),
)
def test_any_response(body: bytes, content_type: str, status: int) -> None:
    BENCH.bugs.clear()
    headers = Headers([("content-type", content_type)])
    response = Response(status, headers, Body(body))
    decision = run_sync(BENCH.engine.on_response(_ticket(), response))
    assert BENCH.bugs == []
    assert isinstance(decision, ResponseAllow | Deny)


events = st.lists(
    st.binary(max_size=40)
    | st.dictionaries(NAMES, shaped, max_size=4).map(
        lambda d: b"data: " + json.dumps(d).encode() + b"\n\n"
    )
    | st.sampled_from([b"data: [DONE]\n\n", b": x\n\n", b"\r\n", b"event: e\n"]),
    max_size=6,
)


@given(events, st.integers(1, 50))
def test_any_stream(parts: list[bytes], size: int) -> None:
    BENCH.bugs.clear()
    body = b"".join(parts)
    ticket = _ticket()
    headers = Headers([("content-type", "text/event-stream")])
    assert BENCH.engine.plan_response(ticket, 200, headers) is ResponsePlan.STREAM
    whole = BENCH.engine.open_stream(ticket, 200, headers)
    expected = whole.feed(body) + whole.close()
    guard = BENCH.engine.open_stream(ticket, 200, headers)
    out = (
        b"".join(guard.feed(body[i : i + size]) for i in range(0, len(body), size)) + guard.close()
    )
    assert out == expected
    run_sync(BENCH.engine.close_stream(ticket, guard, StreamEnd.COMPLETE))
    assert BENCH.bugs == []
