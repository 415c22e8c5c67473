"""A buffered stream is read twice where a check has to know whole texts before it can filter them.

First the check's channels only listen; then it asks what it has to ask; then the same bytes pass
again and each channel filters with what is known of its text. The same bytes open the same
channels in the same order, and the checks before it change nothing between the two readings.
"""

from __future__ import annotations

from collections.abc import Sequence

from promptward.findings import Finding
from promptward.llm import Part
from promptward.protocols.base import Channel
from promptward.recognizers import Match
from promptward.stream.channels import ChannelFilter


class ReadAhead:
    """What one check heard of one stream, and what became known of it."""

    def __init__(self) -> None:
        self._heard: list[_Listener] = []
        self._known: Sequence[Sequence[Match]] | None = None
        self._next = 0

    @property
    def parts(self) -> list[Part]:
        """The text of each channel, in the order in which they were opened."""
        return [listener.part for listener in self._heard]

    def learn(self, known: Sequence[Sequence[Match]]) -> None:
        """The first reading is over.

        Args:
            known: matches per part, in order.
        """
        self._known = known

    def rewind(self) -> None:
        """The stream is read from its beginning."""
        self._next = 0

    def listen(self, channel: Channel) -> ChannelFilter | None:
        """A filter that only listens; None when the first reading is over."""
        if self._known is not None:
            return None
        listener = _Listener(channel)
        self._heard.append(listener)
        return listener

    def next_known(self) -> Sequence[Match]:
        """What is known of the channel that opens now.

        Raises:
            IndexError: it was not there when the stream was first read; a bug, so nothing passes.
        """
        if self._known is None:
            raise IndexError("the stream was not read ahead")
        known = self._known[self._next]
        self._next += 1
        return known


class _Listener:
    findings: Sequence[Finding] = ()

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._texts: list[str] = []

    @property
    def part(self) -> Part:
        channel = self._channel
        text = "".join(self._texts)
        return Part(channel.pointer, channel.source, text, channel.json_escaped)

    def feed(self, text: str) -> str:
        self._texts.append(text)
        return text

    def close(self) -> str:
        return ""
