"""The PII check: which entity gets which action, in which phase, and what is reported."""

from __future__ import annotations

from typing import Any

import pytest

from promptward.checks.content import Conversation, Inspection, Mode, Phase
from promptward.checks.pii import PiiCheck, PiiSettings
from promptward.errors import PolicyError
from promptward.exchange import Source
from promptward.findings import Effect
from promptward.llm import Part
from promptward.policy.decode import decode
from promptward.protocols.base import Channel
from promptward.stream.channels import ChannelBlocked
from promptward.sync import run_sync

TEXT = "mail bob@example.com or pay 4111 1111 1111 1111 now"


def check(*entities: dict[str, Any], **settings: Any) -> PiiCheck:
    data = {"id": "p", "type": "pii", "entities": list(entities), **settings}
    if not entities:
        del data["entities"]
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


def test_recognizers_of_your_own() -> None:
    own = {"id": "badge", "entity": "BADGE", "pattern": "B-[0-9]{4}", "score": 0.9}
    made = check({"type": "BADGE"}, recognizers=[own])
    assert inspect(made, "badge B-1234").edits["/0"] == "badge <BADGE>"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"entities": [{"type": "NOPE"}]}, "entities[0].type: expected one of"),
        (
            {"recognizers": [{"id": "b", "entity": "BADGE", "pattern": "x"}]},
            "recognizers[0].entity: not listed under entities",
        ),
    ],
)
def test_what_is_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        check(*settings.pop("entities", ()), **settings)
    assert caught.value.problems[0].startswith(problem)
