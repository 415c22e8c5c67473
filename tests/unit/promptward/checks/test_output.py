"""The output check: detectors, actions, whole and streamed."""

from __future__ import annotations

from typing import Any

import pytest

from promptward.checks.content import Conversation, Inspection, Phase
from promptward.checks.output import OutputCheck, OutputSettings
from promptward.errors import PolicyError
from promptward.exchange import Source
from promptward.findings import Effect
from promptward.llm import Part
from promptward.policy.decode import decode
from promptward.protocols.base import Channel
from promptward.stream.channels import ChannelBlocked
from promptward.sync import run_sync

SYSTEM = (
    "You are Aria of Acme Bank. Never mention interest rates above five percent to anybody at all."
)
TEXT = (
    "Key AKIAIOSFODNN7EXAMPLE. Never mention interest rates above five percent to anybody at all."
    " ![x](https://evil.test/a.png) <script>x</script> done"
)


def check(**settings: Any) -> OutputCheck:
    return OutputCheck(decode(OutputSettings, {"id": "o", "type": "output", **settings}), 4096)


def inspect(made: OutputCheck, text: str = TEXT, escaped: bool = False) -> Inspection:
    parts = [Part("/a", Source.ASSISTANT, text, escaped)]
    conversation = Conversation("abcdef", {}, SYSTEM)
    return run_sync(made.inspect(Phase.RESPONSE, parts, conversation))


def rules(done: Inspection) -> set[str]:
    return {f.rule.partition("/")[0] for f in done.findings}


def test_everything_is_redacted_by_default() -> None:
    done = inspect(check())
    assert done.edits["/a"] == (
        "Key <AWS_ACCESS_KEY>. <SYSTEM_PROMPT>. <UNSAFE_URL> <ACTIVE_HTML>x<ACTIVE_HTML> done"
    )
    assert rules(done) == {"AWS_ACCESS_KEY", "SYSTEM_PROMPT", "UNSAFE_URL", "ACTIVE_HTML"}


@pytest.mark.parametrize(
    ("detect", "rule"),
    [
        ("secret", "AWS_ACCESS_KEY"),
        ("system_prompt_leak", "SYSTEM_PROMPT"),
        ("unsafe_url", "UNSAFE_URL"),
        ("html", "ACTIVE_HTML"),
    ],
)
def test_only_what_is_asked_for(detect: str, rule: str) -> None:
    assert rules(inspect(check(detect=[detect]))) == {rule}


@pytest.mark.parametrize("detect", ["secret", "system_prompt_leak", "unsafe_url", "html"])
def test_block_refuses_whole_answers_and_streams(detect: str) -> None:
    made = check(detect=[detect], action="block")
    done = inspect(made)
    assert done.denial is not None
    assert done.denial.code == "unsafe_output"
    channel = made.open_channel(Channel("/a", Source.ASSISTANT), Conversation("ab", {}, SYSTEM))
    assert channel is not None
    released = []

    def stream() -> None:
        released.extend(channel.feed(character) for character in TEXT)
        released.append(channel.close())

    with pytest.raises(ChannelBlocked):
        stream()
    text = "".join(released)
    assert "AKIA" not in text or detect != "secret"
    assert "percent to anybody" not in text or detect != "system_prompt_leak"
    assert "evil.test" not in text or detect != "unsafe_url"
    assert any(f.effect is Effect.BLOCK for f in channel.findings) or detect == "system_prompt_leak"


@pytest.mark.parametrize(
    ("settings", "effect"), [({"action": "flag"}, Effect.FLAG), ({"mode": "shadow"}, Effect.SHADOW)]
)
def test_reporting_changes_nothing(settings: dict[str, Any], effect: Effect) -> None:
    done = inspect(check(**settings))
    assert done.edits == {}
    assert done.denial is None
    assert {f.effect for f in done.findings} == {effect}


@pytest.mark.parametrize("size", [1, 3, 11])
@pytest.mark.parametrize("escaped", [False, True])
def test_a_stream_gives_what_a_whole_answer_gives(size: int, escaped: bool) -> None:
    made = check()
    text = '{"t":"' + TEXT + '"}' if escaped else TEXT
    whole = inspect(made, text, escaped)
    channel = made.open_channel(
        Channel("/a", Source.ASSISTANT, escaped), Conversation("abcdef", {}, SYSTEM)
    )
    assert channel is not None
    out = "".join(channel.feed(text[i : i + size]) for i in range(0, len(text), size))
    assert out + channel.close() == whole.edits["/a"]
    assert sorted(f.rule for f in channel.findings) == sorted(f.rule for f in whole.findings)


def test_canaries() -> None:
    made = check(detect=["secret"], canaries=["zebra+quartz[7]"])
    assert inspect(made, "the word is zebra+quartz[7]!").edits["/a"] == "the word is <CANARY>!"
    with pytest.raises(PolicyError, match="8 to 128 characters"):
        check(canaries=["short"])


def test_allowed_hosts() -> None:
    made = check(detect=["unsafe_url"], allowed_hosts=["evil.test"])
    assert inspect(made).findings == ()


def test_without_a_system_prompt_there_is_nothing_to_leak() -> None:
    made = check(detect=["system_prompt_leak"])
    assert made.needs_system_text
    parts = [Part("/a", Source.ASSISTANT, TEXT)]
    assert run_sync(made.inspect(Phase.RESPONSE, parts, Conversation("ab"))).findings == ()


def test_the_system_prompt_is_indexed_once_for_all_texts() -> None:
    made = check(detect=["system_prompt_leak"])
    conversation = Conversation("ab", {}, SYSTEM)
    channels = [made.open_channel(Channel("/a", Source.ASSISTANT), conversation) for _ in "abc"]
    known = conversation.known_text
    assert known is not None
    parts = [Part("/a", Source.ASSISTANT, SYSTEM)]
    run_sync(made.inspect(Phase.RESPONSE, parts, conversation))
    assert None not in channels
    assert conversation.known_text is known
