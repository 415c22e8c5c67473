"""Buffered streams that a classifier reads before they are filtered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from promptward.decision import Allow, Deny
from promptward.engine import ResponseAllow, ResponseDecision
from promptward.errors import PortError
from promptward.exchange import Body, Headers, Response
from promptward.ports import Classifier, ClassifierQuery, ClassifierSpan
from promptward.sync import run_sync
from promptward.testing.fakes import TestBench, WordClassifier, chat_exchange, policy_with
from promptward_ports.ledgers.memory import MemoryLedger

SSE = Headers([("content-type", "text/event-stream")])
NAMES: dict[str, Any] = {
    "url": "http://analyzer.test",
    "entities": [{"type": "PERSON"}],
    "phase": ["request", "response"],
}
CHECK: dict[str, Any] = {"id": "p", "type": "pii", "classifier": NAMES}
WORDS = {"Ann Lee": "PERSON", "<CREDIT_CARD>": "CODE"}
CARD = "5555 5555 5555 4444"


def bench(
    port: Classifier, *checks: dict[str, Any], mode: str = "buffer", **check: Any
) -> TestBench:
    listed = list(checks) or [CHECK | check]
    budget = {"id": "b", "limit": 100_000}
    text = policy_with(checks=listed, streaming={"mode": mode}, budgets=[budget])
    return TestBench(text, classifier=port)


def event(delta: dict[str, Any], **fields: Any) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    document = {"id": "c", "object": "chat.completion.chunk", "choices": [choice], **fields}
    return f"data: {json.dumps(document)}\n\n"


def stream(*pieces: str, arguments: Sequence[str] = ()) -> bytes:
    calls = [
        {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in arguments
    ]
    if calls:
        calls[0]["tool_calls"][0] |= {"id": "t", "type": "function"}
        calls[0]["tool_calls"][0]["function"] |= {"name": "send"}  # type: ignore[operator]
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    end = {"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage}
    events = [event({"content": piece}) for piece in pieces] + [event(call) for call in calls]
    return "".join([*events, f"data: {json.dumps(end)}\n\n", "data: [DONE]\n\n"]).encode()


def answer(made: TestBench, body: bytes, error: Exception | None = None) -> ResponseDecision:
    decision = run_sync(made.engine.on_request(chat_exchange()))
    assert isinstance(decision, Allow)
    port = made.engine._ports.classifier
    if error is not None:
        assert isinstance(port, WordClassifier)
        port.error = error  # type: ignore[assignment]
    return run_sync(made.engine.on_response(decision.ticket, Response(200, SSE, Body(body))))


def shown(decision: ResponseDecision) -> tuple[str, str]:
    """The joined content and tool arguments that the client gets."""
    assert isinstance(decision, ResponseAllow), decision
    content, arguments = "", ""
    for line in (decision.mutations.body or b"").decode().splitlines():
        if not line.startswith("data: {"):
            continue
        for choice in json.loads(line[6:]).get("choices", ()):
            content += choice["delta"].get("content") or ""
            for call in choice["delta"].get("tool_calls", ()):
                arguments += call["function"]["arguments"]
    return content, arguments


def test_names_are_found_however_the_upstream_cut_them() -> None:
    made = bench(WordClassifier(WORDS))
    body = stream(
        "Ask An", "n L", f"ee, card {CARD[:7]}", CARD[7:], arguments=['{"to":"A', 'nn Lee"}']
    )
    decision = answer(made, body)
    assert shown(decision) == ("Ask <PERSON>, card <CREDIT_CARD>", '{"to":"<PERSON>"}')
    rules = [f.rule for f in decision.findings]
    assert rules.count("PERSON/classifier") == 2
    assert all(c.state == "inspected" for c in decision.coverage)


def test_a_stream_without_names_passes_byte_for_byte() -> None:
    decision = answer(bench(WordClassifier(WORDS)), stream("Nobody. ", "Here. "))
    assert isinstance(decision, ResponseAllow)
    assert decision.mutations.body is None


def test_all_texts_of_a_stream_go_in_one_call() -> None:
    port = WordClassifier(WORDS)
    answer(bench(port), stream("Ask ", "Ann Lee"))
    assert [t for t in port.calls[-1][1] if "Ann" in t] == ["Ask Ann Lee"]
    assert len(port.calls) == 2  # the request, the response


def test_a_stream_that_could_not_be_read_is_withheld_and_charged() -> None:
    made = bench(WordClassifier(WORDS))
    decision = answer(made, stream("Ask Ann Lee"), PortError("classifier", "down"))
    assert isinstance(decision, Deny)
    assert (decision.status, decision.code) == (503, "check_unavailable")
    assert [(c.state, c.reason) for c in decision.coverage] == [
        ("skipped", "classifier_unavailable")
    ]
    assert isinstance(made.ledger, MemoryLedger)
    assert [(e.amount, e.state) for e in run_sync(made.ledger.entries())] == [(10, "settled")]
    last = made.audit.events[-1]
    assert (last["action"], last["code"]) == ("deny", "check_unavailable")


def test_failing_open_keeps_the_patterns_and_says_so() -> None:
    made = bench(WordClassifier(WORDS), failure_mode="open")
    decision = answer(made, stream(f"Ask Ann Lee, {CARD}"), PortError("classifier", "down"))
    assert shown(decision)[0] == "Ask Ann Lee, <CREDIT_CARD>"
    assert decision.findings[0].rule == "classifier_unavailable"
    assert {(c.state, c.reason) for c in decision.coverage} == {
        ("skipped", "classifier_unavailable")
    }


def test_a_bug_withholds_the_stream() -> None:
    made = bench(WordClassifier(WORDS))
    decision = answer(made, stream("Ask Ann Lee"), KeyError("x"))
    assert isinstance(decision, Deny)
    assert decision.code == "internal_error"
    assert [type(bug) for bug in made.bugs] == [KeyError]


def test_a_stream_that_is_not_buffered_does_not_pass() -> None:
    made = bench(WordClassifier(WORDS))
    decision = run_sync(made.engine.on_request(chat_exchange()))
    assert isinstance(decision, Allow)
    guard = made.engine.open_stream(decision.ticket, 200, SSE)
    out = guard.feed(stream("Ask Ann Lee")) + guard.close()
    assert guard.blocked
    assert b"Ann" not in out
    assert b"stream_not_buffered" in out


def test_passing_streams_through_asks_nobody() -> None:
    port = WordClassifier(WORDS)
    decision = answer(bench(port, mode="passthrough"), stream("Ask Ann Lee"))
    assert shown_unchanged(decision)
    assert len(port.calls) == 1


def shown_unchanged(decision: ResponseDecision) -> bool:
    return isinstance(decision, ResponseAllow) and decision.mutations.body is None


def test_what_came_before_a_block_was_classified_too() -> None:
    blocking = {"id": "b", "type": "pii", "entities": [{"type": "US_SSN", "action": "block"}]}
    naming = CHECK | {"entities": []}
    for checks in ([naming, blocking], [blocking, naming]):
        made = bench(WordClassifier(WORDS), *checks)
        decision = answer(made, stream("Ask Ann Lee. ", "SSN 536-22-1234 ", "and more"))
        assert isinstance(decision, ResponseAllow)
        body = decision.mutations.body or b""
        assert b"sensitive_data" in body
        assert b"Ann" not in body


def test_a_second_classifier_reads_what_the_first_left() -> None:
    second = CHECK | {"id": "q", "classifier": NAMES | {"entities": [{"type": "CODE"}]}}
    port = WordClassifier(WORDS)
    decision = answer(bench(port, CHECK, second), stream(f"Ann Lee pays with {CARD}"))
    assert shown(decision)[0] == "<PERSON> pays with <CODE>"
    assert [q.entities for q, _ in port.calls[2:]] == [("PERSON",), ("CODE",)]


class Garbled:
    """Answers with spans that do not fit."""

    async def classify(
        self, query: ClassifierQuery, texts: Sequence[str]
    ) -> list[list[ClassifierSpan]]:
        return [[ClassifierSpan("PERSON", 0, len(text) + 1, 0.9)] for text in texts]


def test_nonsense_withholds_the_stream() -> None:
    names = NAMES | {"phase": "response"}
    decision = answer(bench(Garbled(), classifier=names), stream("Ask Ann Lee"))
    assert isinstance(decision, Deny)
    assert decision.code == "check_unavailable"


@pytest.mark.parametrize("body", [b"data: {\n\n", b"data: [1]\n\n", b"\xff", b""])
def test_a_stream_that_cannot_be_parsed_is_refused_as_ever(body: bytes) -> None:
    plain = answer(bench(WordClassifier(WORDS), classifier=None), body)
    assert isinstance(plain, ResponseAllow)
    read = answer(bench(WordClassifier(WORDS)), body)
    assert isinstance(read, ResponseAllow)
    assert read.mutations.body == plain.mutations.body
