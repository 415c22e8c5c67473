"""The adapters with the real presidio-analyzer and spaCy behind them.

Presidio's own REST server is not in its package; here its engine answers behind a server with the
same contract. The pipeline is a blank one with a list of names, made on the spot: what a trained
model finds is not ours to test. PRESIDIO_TEST_MODEL names an installed pipeline to use as well.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import spacy
from presidio_analyzer import AnalyzerEngine, RecognizerResult

from promptward.decision import Allow
from promptward.engine import ResponseAllow
from promptward.errors import PolicyError, PortError
from promptward.exchange import Body, Headers, Response
from promptward.policy import load_policy
from promptward.ports import ClassifierQuery, ClassifierSpan
from promptward.sync import run_sync
from promptward.testing.analyzer import AnalyzerServer
from promptward.testing.fakes import RecordedAudit, chat_exchange, policy_with
from promptward_ports.classifiers import open_classifier
from promptward_ports.classifiers.presidio_library import _engine
from promptward_ports.hosting import build_engine
from promptward_ports.ledgers import open_ledger

# spaCy 3.8 and its dependencies warn about their own use of deprecated names
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
TEXT = "😀😀 My name is John Smith and I live in Paris 👩‍👩‍👧."


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A pipeline that knows one person and one place."""
    nlp = spacy.blank("en")
    ruler: Any = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [{"label": "PERSON", "pattern": "John Smith"}, {"label": "GPE", "pattern": "Paris"}]
    )
    folder = tmp_path_factory.mktemp("pipeline")
    nlp.to_disk(folder)
    return str(folder)


@pytest.fixture(scope="session", params=["blank", "trained"])
def query(request: pytest.FixtureRequest, blank: str) -> ClassifierQuery:
    """A question to the library."""
    model = blank
    if request.param == "trained":
        model = os.environ.get("PRESIDIO_TEST_MODEL", "")
        if not model:
            pytest.skip("PRESIDIO_TEST_MODEL names no pipeline")
    return ClassifierQuery("", model, None, "en", ("LOCATION", "PERSON"), 0.4, 30.0)


def answers(engine: AnalyzerEngine) -> AnalyzerServer:
    """A server that answers as presidio-analyzer's app.py does."""

    def analyze(text: str, asked: dict[str, Any]) -> list[Any]:
        found: list[RecognizerResult] = engine.analyze(
            text=text,
            language=asked["language"],
            entities=asked["entities"],
            score_threshold=asked["score_threshold"],
        )
        rows = [result.to_dict() for result in found]
        for row in rows:
            row.pop("recognition_metadata", None)
        return json.loads(json.dumps(rows, default=lambda o: o.to_dict()))  # type: ignore[no-any-return]

    return AnalyzerServer(analyze)


@pytest.fixture
def server(query: ClassifierQuery) -> Iterator[AnalyzerServer]:
    made = answers(_engine(query.model, query.language))
    yield made
    made.close()


def cut(text: str, spans: Any) -> list[tuple[str, str]]:
    return sorted((s.entity, text[s.start : s.end]) for s in spans)


@pytest.mark.parametrize("suspending", [False, True])
def test_the_library_finds_names_at_their_code_points(
    query: ClassifierQuery, suspending: bool
) -> None:
    port = open_classifier([query], suspending=suspending)
    assert port is not None
    run: Any = asyncio.run if suspending else run_sync
    one, two, three = run(port.classify(query, [TEXT, "nothing here", "In Paris"]))
    assert cut(TEXT, one) == [("LOCATION", "Paris"), ("PERSON", "John Smith")]
    assert list(two) == []
    assert cut("In Paris", three) == [("LOCATION", "Paris")]


def test_the_service_gives_what_the_library_gives(
    query: ClassifierQuery, server: AnalyzerServer
) -> None:
    remote = replace(query, url=server.url, model="")
    port = open_classifier([query, remote])
    assert port is not None
    for texts in ([TEXT], [TEXT, "nothing here", "In Paris"]):
        here, there = (run_sync(port.classify(q, texts)) for q in (query, remote))
        assert [sorted(h, key=_place) for h in here] == [sorted(t, key=_place) for t in there]
    assert isinstance(server.asked[0]["text"], str)
    assert isinstance(server.asked[1]["text"], list)


def _place(span: ClassifierSpan) -> tuple[int, int, str]:
    return span.start, span.end, span.entity


def test_an_entity_nobody_knows_is_an_error_of_the_service(
    query: ClassifierQuery, server: AnalyzerServer
) -> None:
    remote = replace(query, url=server.url, model="", entities=("NO_SUCH_ENTITY",))
    port = open_classifier([remote])
    assert port is not None
    with pytest.raises(PortError, match="answered 500"):
        run_sync(port.classify(remote, [TEXT]))
    with pytest.raises(PolicyError, match="finds no NO_SUCH_ENTITY"):
        open_classifier([replace(query, entities=("NO_SUCH_ENTITY",))])


def test_a_pipeline_that_is_missing_is_not_fetched(
    query: ClassifierQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spacy.cli, "download", lambda *_: pytest.fail("a download"))
    with pytest.raises(PolicyError, match="'en_no_such_pipeline' is not installed"):
        open_classifier([replace(query, model="en_no_such_pipeline")])


def test_a_request_and_its_answer_under_a_policy(query: ClassifierQuery) -> None:
    names = {
        "provider": "presidio_library",
        "model": query.model,
        "timeout_ms": 10_000,
        "entities": [{"type": "PERSON", "action": "pseudonymize"}, {"type": "LOCATION"}],
    }
    policy = load_policy(policy_with(checks=[{"id": "p", "type": "pii", "classifier": names}]))
    engine = build_engine(policy, open_ledger("memory://", timeout_s=1), RecordedAudit())
    body = {"model": "m", "messages": [{"role": "user", "content": f"{TEXT} john@example.org"}]}
    decision = run_sync(engine.on_request(chat_exchange(body)))
    assert isinstance(decision, Allow)
    sent = json.loads(decision.mutations.body or b"")["messages"][0]["content"]
    (mark,) = decision.ticket.vault
    assert sent == f"😀😀 My name is {mark} and I live in <LOCATION> 👩‍👩‍👧. <EMAIL_ADDRESS>"
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": f"Hi {mark}"}}]}
    headers = Headers([("content-type", "application/json")])
    back = run_sync(
        engine.on_response(
            decision.ticket, Response(200, headers, Body(json.dumps(answer).encode()))
        )
    )
    assert isinstance(back, ResponseAllow)
    assert b"Hi John Smith" in (back.mutations.body or b"")
