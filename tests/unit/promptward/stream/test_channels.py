"""Channels: filters in order, closed once, bounded, accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import Source
from promptward.findings import CoverageEntry, CoverageState, Effect, Finding, Severity
from promptward.protocols import Channel
from promptward.stream.channels import ChannelBlocked, ChannelFilter, ChannelSet, FilterChain


@dataclass
class Holder:
    """Releases all but the last `keep` characters and marks what passes."""

    mark: str
    keep: int = 2
    held: str = ""
    findings: list[Finding] = field(default_factory=list)

    def feed(self, text: str) -> str:
        self.held += text
        cut = max(0, len(self.held) - self.keep)
        out, self.held = self.held[:cut], self.held[cut:]
        return "".join(c + self.mark for c in out)

    def close(self) -> str:
        rest = "".join(c + self.mark for c in self.held)
        self.held = ""
        self.findings.append(Finding(self.mark, "r", "c", Severity.LOW, 0.1, Effect.FLAG))
        return rest


CONTENT = Channel("/choices/0/message/content", Source.ASSISTANT)
OTHER = Channel("/choices/1/message/content", Source.ASSISTANT)


def test_filters_run_in_order_over_feed_and_close() -> None:
    chain = FilterChain([("a", Holder("1")), ("b", Holder("2", keep=1))])
    out = chain.feed("xy") + chain.feed("zw") + chain.close()
    assert out == "x212y212z212w212"
    assert chain.checks == ("a", "b")


def test_closing_twice_releases_nothing_more() -> None:
    chain = FilterChain([("a", Holder("1"))])
    chain.feed("xy")
    assert chain.close() == "x1y1"
    assert chain.close() == ""
    assert len(chain.findings) == 1


def test_text_for_a_closed_channel_is_refused() -> None:
    chain = FilterChain([("a", Holder("1"))])
    chain.close()
    assert chain.feed("") == ""
    with pytest.raises(ExchangeError) as caught:
        chain.feed("more")
    assert (caught.value.code, caught.value.status) == ("text_after_end", 502)


def test_each_channel_has_its_own_filters() -> None:
    channels = ChannelSet(lambda _: [("a", Holder("."))], 8)
    first, second = channels.chain(CONTENT), channels.chain(OTHER)
    assert first is not None
    assert second is not None
    first.feed("ab")
    second.feed("cd")
    assert channels.chain(CONTENT) is first
    assert channels.remainders() == [(CONTENT, "a.b."), (OTHER, "c.d.")]
    assert channels.remainders() == []


def test_a_whole_text_goes_through_at_once() -> None:
    channels = ChannelSet(lambda _: [("a", Holder("."))], 8)
    assert channels.whole(CONTENT, "abcd") == "a.b.c.d."
    assert len(channels.findings) == 1


def test_findings_survive_a_refusal() -> None:
    @dataclass(frozen=True)
    class No:
        code: str = "no"
        message: str = "no"
        status: int = 400

    class Refuser(Holder):
        def feed(self, text: str) -> str:
            self.findings.append(Finding("a", "r", "c", Severity.HIGH, 1.0, Effect.BLOCK))
            raise ChannelBlocked(No())

    channels = ChannelSet(lambda _: [("a", Refuser("."))], 8)
    with pytest.raises(ChannelBlocked):
        channels.whole(CONTENT, "x")
    chain = channels.chain(OTHER)
    assert chain is not None
    with pytest.raises(ChannelBlocked):
        chain.feed("x")
    # the same finding, once as a whole text and once as a channel, counts once
    assert [f.effect for f in channels.findings] == [Effect.BLOCK]


def test_coverage_says_who_read_what() -> None:
    def open_filters(channel: Channel) -> Sequence[tuple[str, ChannelFilter]]:
        return [("pii", Holder(".")), ("leak", Holder("."))] if channel is CONTENT else []

    channels = ChannelSet(open_filters, 8)
    channels.chain(CONTENT)
    assert channels.chain(OTHER) is None
    assert channels.whole(OTHER, "as it is") == "as it is"
    assert channels.coverage == (
        CoverageEntry("response", CONTENT.pointer, CoverageState.INSPECTED, "", ("leak", "pii")),
        CoverageEntry("response", OTHER.pointer, CoverageState.SKIPPED, "no_check"),
    )


def test_channels_are_bounded() -> None:
    channels = ChannelSet(lambda _: [], 2)
    channels.chain(CONTENT)
    channels.chain(OTHER)
    channels.whole(Channel("/whole", Source.ASSISTANT), "x")
    channels.chain(OTHER)
    with pytest.raises(ExchangeError) as caught:
        channels.chain(Channel("/third", Source.ASSISTANT))
    assert (caught.value.code, caught.value.status) == ("too_many_channels", 502)
