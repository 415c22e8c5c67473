"""The PII check: which entity gets which action, in which phase, and what is reported."""

from __future__ import annotations

from typing import Any

import pytest

from promptward.checks.content import Conversation, Inspection, Mode, Phase
from promptward.checks.memory import TextMemory
from promptward.checks.pii import PiiCheck, PiiSettings
from promptward.errors import ExchangeError, PolicyError, PortError
from promptward.exchange import Source
from promptward.findings import Effect
from promptward.llm import Part
from promptward.policy.decode import decode
from promptward.protocols.base import Channel
from promptward.recognizers import VALIDATORS, RecognizerSet
from promptward.stream.channels import ChannelBlocked
from promptward.sync import run_sync
from promptward.testing.fakes import WordClassifier

TEXT = "mail bob@example.com or pay 4111 1111 1111 1111 now"


def check(*entities: dict[str, Any], **settings: Any) -> PiiCheck:
    data: dict[str, Any] = {"id": "p", "type": "pii", **settings}
    if entities:
        data["entities"] = list(entities)
    return PiiCheck(decode(PiiSettings, data), 4096)


def inspect(
    made: PiiCheck,
    *texts: str,
    phase: Phase = Phase.REQUEST,
    conversation: Conversation | None = None,
) -> Inspection:
    parts = [Part(f"/{i}", Source.USER, t) for i, t in enumerate(texts)]
    return run_sync(made.inspect(phase, parts, conversation or Conversation("abcdef")))


@pytest.mark.parametrize(
    ("entity", "result", "effect"),
    [
        ({"action": "redact"}, "mail <EMAIL_ADDRESS> or", Effect.REDACT),
        ({"action": "mask", "keep_last": 3}, "mail ***@*******.com or", Effect.REDACT),
        ({"action": "pseudonymize"}, "mail <EMAIL_ADDRESS_1_abcdef> or", Effect.REDACT),
        ({"action": "flag"}, "mail bob@example.com or", Effect.FLAG),
    ],
)
def test_actions(entity: dict[str, Any], result: str, effect: Effect) -> None:
    done = inspect(check({"type": "EMAIL_ADDRESS", **entity}), TEXT)
    assert done.edits.get("/0", TEXT).startswith(result)
    (finding,) = done.findings
    assert finding.effect is effect
    assert finding.rule.startswith("EMAIL_ADDRESS/")
    assert finding.span is not None
    assert TEXT[finding.span.start : finding.span.end] == "bob@example.com"


def test_hash_is_keyed_and_the_key_is_required() -> None:
    entity = {"type": "EMAIL_ADDRESS", "action": "hash"}
    first = inspect(check(entity, hash_key="k" * 16), TEXT).edits["/0"]
    second = inspect(check(entity, hash_key="j" * 16), TEXT).edits["/0"]
    assert first != second
    assert "bob@" not in first
    with pytest.raises(PolicyError, match="hash_key: required"):
        check(entity)


def test_block_refuses_and_names_the_entity_without_its_text() -> None:
    done = inspect(check({"type": "CREDIT_CARD", "action": "block"}), TEXT)
    assert done.denial is not None
    assert done.denial.code == "sensitive_data"
    (finding,) = done.findings
    assert (finding.rule, finding.effect, finding.span) == ("CREDIT_CARD", Effect.BLOCK, None)
    assert "4111" not in repr(done)


def test_shadow_reports_and_changes_nothing() -> None:
    entities = ({"type": "EMAIL_ADDRESS"}, {"type": "CREDIT_CARD", "action": "block"})
    done = inspect(check(*entities, mode=Mode.SHADOW.value), TEXT)
    assert done.edits == {}
    assert done.denial is None
    assert {f.effect for f in done.findings} == {Effect.SHADOW}


def test_an_entity_named_itself_wins_over_its_group() -> None:
    made = check({"type": "PII", "action": "block"}, {"type": "EMAIL_ADDRESS", "action": "flag"})
    assert inspect(made, "mail bob@example.com").denial is None


def test_only_named_entities_are_looked_for() -> None:
    assert "4111" in inspect(check({"type": "EMAIL_ADDRESS"}), TEXT).edits["/0"]


def test_the_default_is_everything() -> None:
    done = inspect(check(), TEXT + " key AKIAIOSFODNN7EXAMPLE")
    assert "4111" not in done.edits["/0"]
    assert "AKIA" not in done.edits["/0"]


def test_sources_that_are_not_selected_are_skipped_and_said_so() -> None:
    done = inspect(check({"type": "EMAIL_ADDRESS"}, sources=["tool_result"]), TEXT)
    assert done.edits == {}
    assert done.skipped == {"/0": "source_not_selected"}


def test_a_pseudonym_is_the_same_over_all_parts_of_an_exchange() -> None:
    conversation = Conversation("abcdef")
    made = check({"type": "EMAIL_ADDRESS", "action": "pseudonymize"})
    done = inspect(made, "bob@example.com", "to bob@example.com", conversation=conversation)
    assert done.edits["/1"] == f"to {done.edits['/0']}"
    assert conversation.vault == {done.edits["/0"]: "bob@example.com"}


def test_a_response_has_no_pseudonyms() -> None:
    made = check({"type": "EMAIL_ADDRESS", "action": "pseudonymize"})
    done = inspect(made, "bob@example.com", phase=Phase.RESPONSE)
    assert done.edits["/0"] == "<EMAIL_ADDRESS>"


def test_json_source_stays_json() -> None:
    made = check({"type": "CREDIT_CARD"})
    part = Part("/a", Source.TOOL_ARGUMENTS, '{"n":"4111\\u0020 1111"}', json_escaped=True)
    source = '{"card":"4111 1111\\u00201111 1111","n":5}'
    done = run_sync(
        made.inspect(
            Phase.REQUEST,
            [part, Part("/b", Source.TOOL_ARGUMENTS, source, json_escaped=True)],
            Conversation("abcdef"),
        )
    )
    assert done.edits == {"/b": '{"card":"<CREDIT_CARD>","n":5}'}


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_a_channel_gives_what_a_whole_text_gives(size: int) -> None:
    made = check({"type": "EMAIL_ADDRESS"}, {"type": "CREDIT_CARD", "action": "mask"})
    whole = inspect(made, TEXT, phase=Phase.RESPONSE)
    channel = made.open_channel(Channel("/0", Source.ASSISTANT), Conversation("abcdef"))
    assert channel is not None
    cut = "".join(channel.feed(TEXT[i : i + size]) for i in range(0, len(TEXT), size))
    assert cut + channel.close() == whole.edits["/0"]
    assert list(channel.findings) == list(whole.findings)


def test_a_channel_blocks_before_it_releases() -> None:
    made = check({"type": "CREDIT_CARD", "action": "block"})
    channel = made.open_channel(Channel("/0", Source.ASSISTANT), Conversation("abcdef"))
    assert channel is not None
    with pytest.raises(ChannelBlocked):
        channel.feed(TEXT + " and more")
    assert [f.rule for f in channel.findings] == ["CREDIT_CARD"]


BADGE = {"id": "badge", "entity": "BADGE", "pattern": "B-[0-9]{4}", "score": 0.9}


def test_recognizers_of_your_own() -> None:
    made = check({"type": "BADGE"}, recognizers=[BADGE])
    assert inspect(made, "badge B-1234").edits["/0"] == "badge <BADGE>"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"entities": [{"type": "NOPE"}]}, "entities[0].type: unknown entity; names and places"),
        (
            {"entities": [{"type": "EMAIL"}]},
            "entities[0].type: unknown entity; did you mean 'EMAIL_ADDRESS'?; expected one of ABA",
        ),
        (
            {"recognizers": [{"id": "b", "entity": "BADGE", "pattern": "x"}]},
            "recognizers[0].entity: not listed under entities",
        ),
        (
            {"recognizers": [{**BADGE, "validator": "luhnn"}]},
            "recognizers[0].validator: expected one of luhn, iban, mod97, verhoeff, entropy; "
            "did you mean 'luhn'?",
        ),
        (
            {"recognizers": [{**BADGE, "id": "a.b"}]},
            "recognizers[0].id: expected letters, digits and '_'",
        ),
        ({"recognizers": [{**BADGE, "score": 0}]}, "recognizers[0].score: must be above 0"),
        (
            {"recognizers": [{**BADGE, "context": ["no", " "]}]},
            "recognizers[0].context[1]: is empty",
        ),
        ({"recognizers": [{**BADGE, "pattern": "a*"}]}, "recognizers[0].pattern: pattern 'a*', "),
    ],
)
def test_what_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        check(*settings.pop("entities", ()), **settings)
    assert caught.value.problems[0].startswith(problem)


def test_every_validator_can_be_named() -> None:
    for name in VALIDATORS:
        check({"type": "BADGE"}, recognizers=[{**BADGE, "validator": name}])


PEOPLE = {"Ann Lee": "PERSON", "Paris": "LOCATION", "bob@example": "PERSON"}
CLASSIFIER = {
    "url": "http://analyzer.test",
    "entities": [{"type": "PERSON", "action": "pseudonymize"}, {"type": "LOCATION"}],
}
MIXED = "Ann Lee of Paris: bob@example.com"


def classified(
    made: PiiCheck,
    *texts: str,
    phase: Phase = Phase.REQUEST,
    error: PortError | None = None,
    vault: dict[str, str] | None = None,
) -> Inspection:
    port = WordClassifier(PEOPLE, error)
    conversation = Conversation("abcdef", {} if vault is None else vault, classifier=port)
    return inspect(made, *texts, phase=phase, conversation=conversation)


def test_what_a_classifier_finds_is_redacted_with_what_patterns_find() -> None:
    vault: dict[str, str] = {}
    made = check({"type": "EMAIL_ADDRESS"}, classifier=CLASSIFIER)
    done = classified(made, MIXED, "nobody", vault=vault)
    assert done.edits == {"/0": "<PERSON_1_abcdef> of <LOCATION>: <EMAIL_ADDRESS>"}
    assert vault == {"<PERSON_1_abcdef>": "Ann Lee"}
    rules = [f.rule for f in done.findings]
    assert rules[:2] == ["PERSON/classifier", "LOCATION/classifier"]
    assert rules[2].startswith("EMAIL_ADDRESS/")
    assert [f.span.start for f in done.findings if f.span] == [0, 11, 18]


def test_a_classifier_reads_requests_unless_told_otherwise() -> None:
    done = classified(check(classifier=CLASSIFIER), MIXED, phase=Phase.RESPONSE)
    assert done.edits == {"/0": "Ann Lee of Paris: <EMAIL_ADDRESS>"}
    both = check(classifier=CLASSIFIER | {"phase": ["request", "response"]})
    done = classified(both, MIXED, phase=Phase.RESPONSE)
    assert done.edits == {"/0": "<PERSON> of <LOCATION>: <EMAIL_ADDRESS>"}


def test_a_classifier_alone_is_enough() -> None:
    made = check(entities=[], classifier=CLASSIFIER)
    assert classified(made, MIXED).edits == {
        "/0": "<PERSON_1_abcdef> of <LOCATION>: <PERSON_2_abcdef>.com"
    }


def test_without_an_answer_nothing_passes() -> None:
    made = check(classifier=CLASSIFIER)
    done = classified(made, MIXED, error=PortError("classifier", "down"))
    assert done.denial is not None
    assert done.denial.code == "check_unavailable"
    assert done.skipped == {"/0": "classifier_unavailable"}


def test_failing_open_keeps_the_patterns_and_says_what_is_missing() -> None:
    made = check(classifier=CLASSIFIER, failure_mode="open", sources=["user"])
    done = classified(made, MIXED, error=PortError("classifier", "down"))
    assert done.denial is None
    assert done.edits == {"/0": "Ann Lee of Paris: <EMAIL_ADDRESS>"}
    assert done.incomplete == {"/0": "classifier_unavailable"}
    assert done.findings[0].rule == "classifier_unavailable"


def test_a_name_that_blocks() -> None:
    blocking = CLASSIFIER | {"entities": [{"type": "PERSON", "action": "block"}]}
    done = classified(check(classifier=blocking), "Ann Lee")
    assert done.denial is not None
    assert done.denial.code == "sensitive_data"


def test_the_classifier_names_an_entity_of_a_group_itself() -> None:
    own = CLASSIFIER | {"entities": [{"type": "PHONE_NUMBER", "action": "flag"}]}
    made = check({"type": "PII"}, classifier=own)
    done = classified(made, "call +33 1 23 44 72 98 or bob@example.com")
    assert done.edits == {"/0": "call +33 1 23 44 72 98 or <EMAIL_ADDRESS>"}


def test_only_selected_sources_are_sent() -> None:
    port = WordClassifier(PEOPLE)
    made = check(classifier=CLASSIFIER, sources=["tool_result"])
    done = inspect(made, "Ann Lee", conversation=Conversation("abcdef", classifier=port))
    assert done.skipped == {"/0": "source_not_selected"}
    assert port.calls == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"entities": []}, "entities: at least one is needed"),
        (
            {"entities": [{"type": "LOCATION"}]},
            r"entities\[0\].type: unknown entity; names and places need a model and stand under",
        ),
        (
            {"entities": [{"type": "EMAIL_ADDRESS"}], "of": [{"type": "EMAIL_ADDRESS"}]},
            r"classifier.entities\[0\].type: 'EMAIL_ADDRESS' is under entities too",
        ),
        ({"phase": "response"}, "classifier.phase: names a phase that the check does not have"),
        ({"of": [{"type": "PERSON", "action": "hash"}]}, "hash_key: required"),
    ],
)
def test_a_classifier_that_cannot_work(settings: dict[str, Any], problem: str) -> None:
    settings = dict(settings)
    classifier = CLASSIFIER | {"entities": settings.pop("of", CLASSIFIER["entities"])}
    named = settings.get("entities") == []
    with pytest.raises(PolicyError, match=problem):
        check(**settings, **({} if named else {"classifier": classifier}))


def test_a_live_stream_is_refused_where_a_classifier_has_to_read_answers() -> None:
    made = check(classifier=CLASSIFIER | {"phase": ["request", "response"]})
    assert made.reads_ahead
    assert not check(classifier=CLASSIFIER).reads_ahead
    with pytest.raises(ExchangeError, match="has to be read whole"):
        made.open_channel(Channel("/0", Source.ASSISTANT), Conversation("abcdef"))


def test_a_text_that_comes_again_is_redacted_alike_without_being_searched_again() -> None:
    made, recall = check({"type": "EMAIL_ADDRESS"}), TextMemory(b"k", 8).of("ann")
    text = "Write to jane.roe@example.com about the invoice of the second of May, please."

    def inspected(searched: str = text) -> Inspection:
        parts = [Part("/messages/0/content", Source.USER, searched)]
        conversation = Conversation("00", recall=recall)
        return run_sync(made.inspect(Phase.REQUEST, parts, conversation))

    first = inspected()
    assert "jane.roe" not in first.edits["/messages/0/content"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecognizerSet, "find", lambda *_: 1 / 0)
        assert inspected() == first
        with pytest.raises(ZeroDivisionError):
            inspected(text + "!")


def test_a_text_full_of_matches_is_searched_each_time() -> None:
    made, recall = check({"type": "EMAIL_ADDRESS"}), TextMemory(b"k", 8).of("ann")
    parts = [Part("/m", Source.USER, "jane.roe@example.com " * 65)]
    conversation = Conversation("00", recall=recall)
    run_sync(made.inspect(Phase.REQUEST, parts, conversation))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecognizerSet, "find", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_sync(made.inspect(Phase.REQUEST, parts, conversation))
