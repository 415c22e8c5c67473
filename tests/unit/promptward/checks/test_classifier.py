"""Asking a classifier: what is sent, what is believed, and what happens when there is no answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from promptward.checks.classifier import MAX_TEXTS, ClassifierSettings, Outcome, TextClassifier
from promptward.checks.content import FailureMode, Phase
from promptward.checks.memory import NO_RECALL, Recall, TextMemory
from promptward.errors import PolicyError, PortError
from promptward.exchange import Source
from promptward.findings import Effect
from promptward.llm import Part
from promptward.policy.decode import decode
from promptward.ports import Classifier, ClassifierQuery, ClassifierSpan
from promptward.sync import run_sync
from promptward.testing.fakes import WordClassifier

WORDS = {"Ann Lee": "PERSON", "Paris": "LOCATION", "李雷": "PERSON"}
SETTINGS: dict[str, Any] = {
    "url": "http://analyzer.test:3000/",
    "entities": [{"type": "PERSON"}, {"type": "LOCATION", "min_score": 0.6}],
}


def settings(**changes: Any) -> ClassifierSettings:
    return decode(ClassifierSettings, SETTINGS | changes)


def ask(
    port: Classifier | None,
    *texts: str | Part,
    failure_mode: FailureMode = FailureMode.CLOSED,
    shadow: bool = False,
    recall: Recall = NO_RECALL,
    phase: Phase = Phase.REQUEST,
    **changes: Any,
) -> Outcome:
    parts = [
        text if isinstance(text, Part) else Part(f"/{i}", Source.USER, text)
        for i, text in enumerate(texts)
    ]
    made = TextClassifier(settings(**changes), "p", failure_mode, shadow=shadow)
    return run_sync(made.ask(phase, parts, port, recall))


def found(outcome: Outcome, *texts: str) -> list[list[tuple[str, str]]]:
    return [
        [(m.entity, text[m.start : m.end]) for m in known]
        for text, known in zip(texts, outcome.known, strict=True)
    ]


class Fixed:
    """Answers with the same spans whatever it is asked."""

    def __init__(self, *spans: ClassifierSpan, texts: int | None = None) -> None:
        self._spans = spans
        self._texts = texts

    async def classify(
        self, query: ClassifierQuery, texts: Sequence[str]
    ) -> Sequence[Sequence[ClassifierSpan]]:
        return [self._spans] * (len(texts) if self._texts is None else self._texts)


def test_all_texts_go_in_one_call_each_once() -> None:
    port = WordClassifier(WORDS)
    outcome = ask(port, "Ann Lee is in Paris", "no one", "Ann Lee is in Paris")
    assert [texts for _, texts in port.calls] == [["Ann Lee is in Paris", "no one"]]
    text = "Ann Lee is in Paris"
    pairs = [("PERSON", "Ann Lee"), ("LOCATION", "Paris")]
    assert found(outcome, text, "no one", text) == [pairs, [], pairs]


def test_the_query_says_what_the_policy_wants() -> None:
    port = WordClassifier({})
    ask(port, "x", language="de", timeout_ms=250, authorization="Bearer t", url="https://a.test/p/")
    query = port.calls[0][0]
    assert (query.url, query.model, query.language) == ("https://a.test/p", "", "de")
    assert query.entities == ("LOCATION", "PERSON")
    assert (query.min_score, query.timeout_s, query.authorization) == (0.5, 0.25, "Bearer t")
    assert "Bearer" not in repr(query)


def test_texts_without_a_letter_are_not_sent() -> None:
    port = WordClassifier(WORDS)
    assert found(ask(port, "", " 12-34 \n", "42"), "", "", "") == [[], [], []]
    assert port.calls == []


def test_offsets_are_code_points_whatever_the_plane() -> None:
    text = "😀😀 李雷 met 👩‍👩‍👧 Ann Lee \U0010ffff"
    assert found(ask(WordClassifier(WORDS), text), text) == [
        [("PERSON", "李雷"), ("PERSON", "Ann Lee")]
    ]


def test_json_source_is_sent_unescaped_text_by_text() -> None:
    source = r'{"to": "An\u006e Lee", "at": "\"Paris\""}'
    port = WordClassifier(WORDS)
    outcome = ask(port, Part("/0", Source.ASSISTANT, source, json_escaped=True))
    assert port.calls[0][1] == ["to", "Ann Lee", "at", '"Paris"']
    channel = '{"to": "Ann Lee", "at": ""Paris""}'
    assert found(outcome, channel) == [[("PERSON", "Ann Lee"), ("LOCATION", "Paris")]]


def test_a_lone_surrogate_is_replaced_and_offsets_stay() -> None:
    port = WordClassifier(WORDS)
    part = Part("/0", Source.ASSISTANT, r'"\ud800 Paris"', json_escaped=True)
    outcome = ask(port, part)
    assert port.calls[0][1] == ["\ufffd Paris"]
    assert found(outcome, '"\ud800 Paris"') == [[("LOCATION", "Paris")]]


def test_only_what_was_asked_for_counts_from_its_score_on() -> None:
    spans = [
        ClassifierSpan("PERSON", 0, 3, 0.5),
        ClassifierSpan("PERSON", 4, 7, 0.49),
        ClassifierSpan("LOCATION", 4, 7, 0.59),
        ClassifierSpan("LOCATION", 8, 11, 0.6),
        ClassifierSpan("NRP", 0, 3, 1.0),
    ]
    assert found(ask(Fixed(*spans), "aaa bbb ccc"), "aaa bbb ccc") == [
        [("PERSON", "aaa"), ("LOCATION", "ccc")]
    ]


@pytest.mark.parametrize(
    "span",
    [
        ClassifierSpan("PERSON", -1, 3, 0.9),
        ClassifierSpan("PERSON", 3, 3, 0.9),
        ClassifierSpan("PERSON", 4, 2, 0.9),
        ClassifierSpan("PERSON", 0, 12, 0.9),
        ClassifierSpan("NRP", 0, 12, 0.9),
        ClassifierSpan("PERSON", 0, 3, 1.01),
        ClassifierSpan("PERSON", 0, 3, -0.1),
        ClassifierSpan("PERSON", 0, 3, float("nan")),
    ],
)
def test_an_answer_that_does_not_fit_is_no_answer(span: ClassifierSpan) -> None:
    outcome = ask(Fixed(span), "aaa bbb ccc")
    assert outcome.unread == "classifier_unavailable"
    assert outcome.denial is not None


@pytest.mark.parametrize("texts", [0, 1, 3])
def test_as_many_answers_as_texts(texts: int) -> None:
    assert ask(Fixed(texts=texts), "one", "two").unread == "classifier_unavailable"


@pytest.mark.parametrize("port", [None, WordClassifier(WORDS, PortError("classifier", "down"))])
def test_no_answer_refuses(port: Classifier | None) -> None:
    outcome = ask(port, "Ann Lee", "Paris")
    assert outcome.denial is not None
    assert (outcome.denial.code, outcome.denial.status) == ("check_unavailable", 503)
    (finding,) = outcome.findings
    assert (finding.check, finding.rule) == ("p", "classifier_unavailable")
    assert finding.effect is Effect.BLOCK


@pytest.mark.parametrize(
    ("mode", "shadow", "effect"),
    [
        (FailureMode.OPEN, False, Effect.FLAG),
        (FailureMode.OPEN, True, Effect.FLAG),
        (FailureMode.CLOSED, True, Effect.SHADOW),
    ],
)
def test_no_answer_is_reported_where_it_does_not_refuse(
    mode: FailureMode, shadow: bool, effect: Effect
) -> None:
    port = WordClassifier(WORDS, PortError("classifier", "down"))
    outcome = ask(port, "Ann Lee", "Paris", failure_mode=mode, shadow=shadow)
    assert outcome.denial is None
    assert outcome.unread == "classifier_unavailable"
    assert [list(k) for k in outcome.known] == [[], []]
    assert [f.effect for f in outcome.findings] == [effect]


def test_what_is_too_much_is_not_sent_and_refused_for_its_size() -> None:
    port = WordClassifier(WORDS)
    assert ask(port, "a" * 6, "b" * 4, max_chars=10).denial is None
    outcome = ask(port, "a" * 6, "b" * 5, max_chars=10)
    assert outcome.unread == "classifier_limit"
    assert outcome.denial is not None
    assert (outcome.denial.code, outcome.denial.status) == ("text_too_long", 413)
    assert ask(port, *[f"a{i}" for i in range(MAX_TEXTS)]).denial is None
    assert ask(port, *[f"a{i}" for i in range(MAX_TEXTS + 1)]).unread == "classifier_limit"
    assert len(port.calls) == 2


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"url": None}, "url: required by presidio"),
        ({"url": "ftp://a.test"}, "url: expected an absolute"),
        ({"url": "http://u:p@a.test"}, "url: expected http"),
        ({"url": "http://a.test/?x=1"}, "url: expected http"),
        ({"url": "http://a.test/#x"}, "url: expected http"),
        ({"url": "http://a.test:99999"}, "url: expected http"),
        ({"url": "http://:80"}, "url: expected http"),
        ({"authorization": "Bearer t"}, "authorization: is only sent over https"),
        ({"provider": "presidio_library"}, "provider: presidio_library sends nothing"),
        ({"entities": []}, "entities: expected a list, 1 or more items"),
        ({"entities": [{"type": "PII"}]}, r"entities\[0\].type: expected an entity of the model"),
        ({"entities": [{"type": "person"}]}, r"entities\[0\].type: expected an entity"),
        ({"entities": [{"type": "A"}, {"type": "A"}]}, r"entities\[1\].type: 'A' is named twice"),
        ({"timeout_ms": 5}, "timeout_ms: expected"),
        ({"max_chars": 0}, "max_chars: expected"),
    ],
)
def test_settings_that_cannot_work(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(PolicyError, match=problem):
        settings(**changes)


def test_the_library_takes_no_address() -> None:
    query = settings(provider="presidio_library", url=None, model="en_core_web_sm").query
    assert (query.url, query.model) == ("", "en_core_web_sm")


def test_a_credential_may_go_to_this_very_machine() -> None:
    made = settings(url="http://127.0.0.1:3000", authorization="Bearer t")
    assert made.query.authorization == "Bearer t"


def test_what_a_caller_sent_before_is_not_sent_again() -> None:
    port, memory = WordClassifier(WORDS), TextMemory(b"k" * 32, 100)
    ann = memory.of("ann")
    first = ask(port, "I am Ann Lee", "hi", recall=ann)
    again = ask(port, "I am Ann Lee", "hi", "in Paris", recall=ann, max_chars=10)
    assert [texts for _, texts in port.calls] == [["I am Ann Lee", "hi"], ["in Paris"]]
    assert list(again.known[:2]) == list(first.known)
    assert found(again, "I am Ann Lee", "hi", "in Paris")[2] == [("LOCATION", "Paris")]
    assert ask(port, "hi", "I am Ann Lee", recall=ann).known == [[], first.known[0]]
    assert len(port.calls) == 2
    ask(port, "hi", recall=memory.of("bob"))
    assert port.calls[-1][1] == ["hi"], "nobody learns what somebody else sent"


def test_a_failure_is_not_remembered() -> None:
    port, recall = (
        WordClassifier(WORDS, PortError("classifier", "down")),
        TextMemory(b"k", 9).of(""),
    )
    assert ask(port, "Paris", recall=recall).unread
    port.error = None
    assert found(ask(port, "Paris", recall=recall), "Paris") == [[("LOCATION", "Paris")]]


def test_a_text_full_of_names_does_not_fill_the_memory() -> None:
    port, recall = WordClassifier(WORDS), TextMemory(b"k", 9).of("")
    for text in ("Paris " * 64, "Paris " * 65):
        ask(port, text, recall=recall)
        ask(port, text, recall=recall)
    assert [len(texts[0]) for _, texts in port.calls] == [384, 390, 390]


def test_a_phase_that_is_not_named_is_not_asked_about() -> None:
    port = WordClassifier(WORDS)
    assert ask(port, "Paris", phase=Phase.RESPONSE).known == [()]
    assert port.calls == []
