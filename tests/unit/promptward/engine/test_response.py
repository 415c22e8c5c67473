"""Bodies of responses: which are read as what."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from promptward.decision import Allow, Deny
from promptward.engine import ResponseAllow, ResponseDecision
from promptward.errors import PortError
from promptward.exchange import Body, Headers, Response
from promptward.sync import run_sync
from promptward.testing.fakes import TestBench, WordClassifier, chat_exchange, policy_with

CARD = "5555 5555 5555 4444"


def respond(
    body: bytes, content_type: str = "application/json", status: int = 200, **headers: str
) -> ResponseDecision:
    bench = TestBench(
        policy_with(checks=[{"id": "p", "type": "pii", "entities": [{"type": "CREDIT_CARD"}]}])
    )
    decision = run_sync(bench.engine.on_request(chat_exchange()))
    assert isinstance(decision, Allow)
    pairs = [
        ("content-type", content_type),
        *((k.replace("_", "-"), v) for k, v in headers.items()),
    ]
    return run_sync(
        bench.engine.on_response(decision.ticket, Response(status, Headers(pairs), Body(body)))
    )


def answer(text: str) -> bytes:
    document: Any = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
    return json.dumps(document).encode()


def body_of(decision: ResponseDecision) -> bytes:
    assert isinstance(decision, ResponseAllow), decision
    return decision.mutations.body or b""


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/problem+json; charset=utf-8"]
)
def test_json_is_read(content_type: str) -> None:
    assert b"<CREDIT_CARD>" in body_of(respond(answer(CARD), content_type))


def test_an_encoded_answer_is_decoded_and_stays_decoded() -> None:
    decision = respond(gzip.compress(answer("fine")), content_encoding="gzip")
    assert isinstance(decision, ResponseAllow)
    assert decision.mutations.body == answer("fine")
    assert "content-encoding" in decision.mutations.remove_headers


def test_error_pages_are_read_as_text() -> None:
    page = f"<h1>Bad card {CARD}</h1>".encode()
    assert body_of(respond(page, "text/html", 502)) == b"<h1>Bad card <CREDIT_CARD></h1>"
    bad = respond(b"\xff", "text/html", 502)
    assert isinstance(bad, Deny)
    assert bad.code == "invalid_utf8"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("text/html", 200), ("application/octet-stream", 200), ("", 200), ("image/png", 500)],
)
def test_what_nobody_can_read_is_not_passed_on(content_type: str, status: int) -> None:
    decision = respond(b"secret", content_type, status)
    assert isinstance(decision, Deny)
    assert decision.code == "uninspectable_content"
    assert [e.reason for e in decision.coverage] == ["unknown_media_type"]


def test_an_empty_answer_passes() -> None:
    assert isinstance(respond(b"", "text/plain", 204), ResponseAllow)


def named(error: PortError | None = None) -> ResponseDecision:
    names = {
        "url": "http://analyzer.test",
        "entities": [{"type": "PERSON"}],
        "phase": ["request", "response"],
    }
    text = policy_with(
        checks=[{"id": "p", "type": "pii", "classifier": names}], streaming={"mode": "buffer"}
    )
    port = WordClassifier({"Ann Lee": "PERSON"})
    bench = TestBench(text, classifier=port)
    decision = run_sync(bench.engine.on_request(chat_exchange()))
    assert isinstance(decision, Allow)
    port.error = error
    headers = Headers([("content-type", "application/json")])
    response = Response(200, headers, Body(answer(f"Ask Ann Lee, card {CARD}")))
    return run_sync(bench.engine.on_response(decision.ticket, response))


def test_a_classifier_reads_a_whole_answer() -> None:
    assert b"Ask <PERSON>, card <CREDIT_CARD>" in body_of(named())


def test_an_answer_that_could_not_be_classified_is_withheld() -> None:
    decision = named(PortError("classifier", "down"))
    assert isinstance(decision, Deny)
    assert (decision.status, decision.code) == (503, "check_unavailable")
    assert b"Ann Lee" not in decision.body
