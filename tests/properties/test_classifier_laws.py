"""What a classifier points at is gone, wherever it stands and however it came."""

from __future__ import annotations

import itertools
import json
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from promptward.checks.content import Conversation, Phase
from promptward.checks.pii import PiiCheck, PiiSettings
from promptward.decision import Allow
from promptward.engine import ResponseAllow
from promptward.exchange import Body, Headers, Response, Source
from promptward.llm import Part
from promptward.policy.decode import decode
from promptward.stream.json_escaped import unescaped_texts
from promptward.sync import run_sync
from promptward.testing.fakes import TestBench, WordClassifier, chat_exchange, policy_with

WORDS = {"Ann Lee": "PERSON", "李雷": "PERSON", "Lee Paris": "LOCATION", "😀Z": "PERSON"}
NAMES = {
    "url": "http://analyzer.test",
    "entities": [{"type": "PERSON"}, {"type": "LOCATION"}],
    "phase": ["request", "response"],
}
PIECES = st.one_of(
    st.sampled_from([*WORDS, "Ann", "Lee", "ann@example.org", "4111 1111 1111 1111"]),
    st.text(alphabet='ab \\"\n/é😀\u2028{}:,\ud83d', max_size=6),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
DOCUMENTS = st.dictionaries(TEXTS, st.one_of(TEXTS, st.lists(TEXTS, max_size=3)), max_size=4)


@cache
def check() -> PiiCheck:
    settings = {"id": "p", "type": "pii", "entities": [], "classifier": NAMES}
    return PiiCheck(decode(PiiSettings, settings), 4096)


def redacted(part: Part) -> str:
    conversation = Conversation("abcdef", classifier=WordClassifier(WORDS))
    done = run_sync(check().inspect(Phase.RESPONSE, [part], conversation))
    return done.edits.get(part.pointer, part.text)


def found_in(text: str) -> list[str]:
    return [word for word in WORDS if word in text]


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_no_name_stays_in_a_text(text: str) -> None:
    out = redacted(Part("/0", Source.USER, text))
    # of two names that overlap one wins whole; what the other leaves is no name any more
    assert found_in(out) == []
    assert (out == text) is (found_in(text) == [])


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, st.booleans())
def test_no_name_stays_in_json_source_and_json_stays_json(
    document: dict[str, object], ascii_only: bool
) -> None:
    source = json.dumps(document, ensure_ascii=ascii_only)
    out = redacted(Part("/0", Source.ASSISTANT, source, json_escaped=True))
    json.loads(out)
    assert [name for _, text in unescaped_texts(out) for name in found_in(text)] == []


@cache
def bench() -> TestBench:
    checks = [{"id": "p", "type": "pii", "classifier": NAMES}]
    text = policy_with(checks=checks, streaming={"mode": "buffer"})
    return TestBench(text, classifier=WordClassifier(WORDS))


def answered(content_type: str, body: bytes) -> bytes:
    engine = bench().engine
    decision = run_sync(engine.on_request(chat_exchange()))
    assert isinstance(decision, Allow)
    response = Response(200, Headers([("content-type", content_type)]), Body(body))
    verdict = run_sync(engine.on_response(decision.ticket, response))
    assert isinstance(verdict, ResponseAllow), verdict
    return body if verdict.mutations.body is None else verdict.mutations.body


@settings(max_examples=100, deadline=None)
@given(TEXTS.map(lambda t: t.replace("\ud83d", "")), st.lists(st.integers(0, 200), max_size=6))
def test_a_buffered_stream_reads_as_the_whole_answer(text: str, cuts: list[int]) -> None:
    message = {"index": 0, "message": {"role": "assistant", "content": text}}
    whole = json.loads(answered("application/json", json.dumps({"choices": [message]}).encode()))
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    events = [
        {"choices": [{"index": 0, "delta": {"content": text[a:b]}, "finish_reason": None}]}
        for a, b in itertools.pairwise(places)
    ]
    stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    out = answered("text/event-stream", stream.encode()).decode()
    rows = [json.loads(line[6:]) for line in out.split("\n") if line.startswith("data: {")]
    joined = "".join(c["delta"].get("content", "") for row in rows for c in row["choices"])
    assert joined == whole["choices"][0]["message"]["content"]
