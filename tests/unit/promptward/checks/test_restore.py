"""Pseudonyms come back in the reply, whole or streamed, escaped or not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from promptward.checks.content import Conversation, Phase
from promptward.checks.restore import RestoreCheck
from promptward.exchange import Source
from promptward.llm import Part
from promptward.protocols.base import Channel
from promptward.sync import run_sync

VAULT = {"<PERSON_1_abc123>": 'O"Neil\n', "<PERSON_10_abc123>": "Ten"}
CONVERSATION = Conversation("abc123", VAULT)


def test_it_is_only_wanted_when_there_is_something_to_give_back() -> None:
    assert RestoreCheck().wanted(CONVERSATION)
    assert not RestoreCheck().wanted(Conversation("abc123"))


def test_whole_parts_are_restored_and_not_called_inspected() -> None:
    parts = [
        Part("/a", Source.ASSISTANT, "Hi <PERSON_1_abc123> and <PERSON_10_abc123>"),
        Part("/b", Source.TOOL_ARGUMENTS, '{"n":"<PERSON_1_abc123>"}', json_escaped=True),
        Part("/c", Source.ASSISTANT, "<PERSON_2_abc123> <PERSON_1_ffffff>"),
    ]
    done = run_sync(RestoreCheck().inspect(Phase.RESPONSE, parts, CONVERSATION))
    assert done.edits == {"/a": 'Hi O"Neil\n and Ten', "/b": '{"n":"O\\"Neil\\n"}'}
    assert set(done.skipped) == {"/a", "/b", "/c"}


@pytest.mark.parametrize("escaped", [False, True])
def test_streams_are_restored_at_every_cut(escaped: bool) -> None:
    text = '{"n":"<PERSON_10_abc123>"}' if escaped else "x <PERSON_10_abc123> y <PERSON"
    channel = RestoreCheck().open_channel(Channel("/a", Source.ASSISTANT, escaped), CONVERSATION)
    assert channel is not None
    out = "".join(channel.feed(c) for c in text) + channel.close()
    assert out == text.replace("<PERSON_10_abc123>", "Ten")


def test_the_placeholders_are_listed_once_for_all_texts() -> None:
    """Texts times pseudonyms would be the square of what a client and a model can send."""

    class Counted(dict[str, str]):
        listed = 0

        def __iter__(self) -> Iterator[str]:
            Counted.listed += 1
            return super().__iter__()

    conversation = Conversation("abc123", Counted(VAULT))
    parts = [Part(f"/{n}", Source.ASSISTANT, "<PERSON_1_abc123>") for n in range(20)]
    assert len(run_sync(RestoreCheck().inspect(Phase.RESPONSE, parts, conversation)).edits) == 20
    once = Counted.listed
    for part in parts:
        RestoreCheck().open_channel(Channel(part.pointer, Source.ASSISTANT), conversation)
    run_sync(RestoreCheck().inspect(Phase.RESPONSE, parts, conversation))
    assert Counted.listed == once
