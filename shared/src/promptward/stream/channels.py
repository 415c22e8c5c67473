"""The text channels of one response stream and the filters each of them runs through.

Invariants: a channel's filters run in the order given, each sees what the ones before it released;
a channel is closed once, and text for a closed channel is refused; the number of channels is
bounded. What a filter looks for is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from promptward.errors import ExchangeError
from promptward.findings import CoverageEntry, CoverageState, Finding
from promptward.protocols.base import Channel


class Denial(Protocol):
    """Why a stream is refused."""

    @property
    def code(self) -> str:
        """Stable snake_case code."""
        ...

    @property
    def message(self) -> str:
        """What the client is told."""
        ...

    @property
    def status(self) -> int:
        """The HTTP status it would have had."""
        ...


class ChannelBlocked(Exception):  # noqa: N818 - a signal to the guard, not a failure
    """A filter refuses the rest of the stream."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(denial.code)
        self.denial = denial


class ChannelFilter(Protocol):
    """An incremental transformer of one text: any cut gives the same joined output."""

    def feed(self, text: str) -> str:
        """Take more text, return what is certain.

        Raises:
            ChannelBlocked: nothing more of this stream may pass.
            ExchangeError: the text cannot be inspected within its bounds.
        """
        ...

    def close(self) -> str:
        """The text ended; return the rest. Same errors as `feed`."""
        ...

    @property
    def findings(self) -> Sequence[Finding]:
        """What was found so far."""
        ...


# Opens the filters of a channel: (check id, filter) pairs in order; empty: nobody reads it. A
# filter without an id changes text and judges nothing (restoring pseudonyms): it is no inspection.
OpenFilters = Callable[[Channel], Sequence[tuple[str, ChannelFilter]]]


MAX_TEXTS = 65_536  # places of whole texts that the coverage lists; our bound


class FilterChain:
    """The filters of one channel as one."""

    __slots__ = ("_filters", "checks", "closed")

    def __init__(self, filters: Sequence[tuple[str, ChannelFilter]]) -> None:
        self._filters = [f for _, f in filters]
        self.checks = tuple(sorted({check for check, _ in filters if check}))
        self.closed = False

    def feed(self, text: str) -> str:
        """Take more text; see ChannelFilter."""
        if self.closed:
            if not text:
                return ""
            raise ExchangeError(
                "text_after_end", "the upstream's stream continues a text that it had ended", 502
            )
        for part in self._filters:
            text = part.feed(text)
        return text

    def close(self) -> str:
        """The text ended; idempotent."""
        if self.closed:
            return ""
        self.closed = True
        rest = ""
        for part in self._filters:
            rest = (part.feed(rest) if rest else "") + part.close()
        return rest

    @property
    def findings(self) -> list[Finding]:
        """What all filters found, filter by filter."""
        return [finding for part in self._filters for finding in part.findings]


class ChannelSet:
    """Every channel of one stream.

    Args:
        open_filters: what a new channel is read by.
        max_channels: texts that arrive in pieces, at least 1.
    """

    def __init__(self, open_filters: OpenFilters, max_channels: int) -> None:
        self._open_filters = open_filters
        self._max = max_channels
        self._chains: dict[str, tuple[Channel, FilterChain | None]] = {}
        self._seen: dict[str, tuple[str, ...]] = {}  # pointer -> checks, in order of appearance
        self._findings: list[Finding] = []

    def chain(self, channel: Channel) -> FilterChain | None:
        """The filters of a channel that arrives in pieces; None when nobody reads it.

        Raises:
            ExchangeError: `too_many_channels`.
        """
        known = self._chains.get(channel.pointer)
        if known is None:
            if len(self._chains) >= self._max:
                raise _too_many(self._max)
            known = (channel, self._new(channel))
            self._chains[channel.pointer] = known
        return known[1]

    def whole(self, channel: Channel, text: str) -> str:
        """A text that is complete: through fresh filters and back.

        Raises:
            ChannelBlocked, ExchangeError: as the filters.
        """
        chain = self._new(channel)
        if chain is None:
            return text
        try:
            return chain.feed(text) + chain.close()
        finally:
            self._findings += chain.findings

    def remainders(self) -> list[tuple[Channel, str]]:
        """Close every open channel: those that still held text, in order of appearance."""
        held = []
        for channel, chain in self._chains.values():
            rest = chain.close() if chain is not None else ""
            if rest:
                held.append((channel, rest))
        return held

    def _new(self, channel: Channel) -> FilterChain | None:
        filters = self._open_filters(channel)
        chain = FilterChain(filters) if filters else None
        if channel.pointer not in self._seen:
            if len(self._seen) >= MAX_TEXTS:
                raise _too_many(MAX_TEXTS)
            self._seen[channel.pointer] = chain.checks if chain is not None else ()
        return chain

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found so far: whole texts first, then channel by channel, nothing twice.

        A protocol may send a text in pieces and again as a whole; a finding counts once.
        """
        chains = (chain for _, chain in self._chains.values() if chain is not None)
        found = (*self._findings, *(finding for chain in chains for finding in chain.findings))
        return tuple(dict.fromkeys(found))

    @property
    def coverage(self) -> tuple[CoverageEntry, ...]:
        """One entry per text."""
        return tuple(
            CoverageEntry("response", pointer, CoverageState.INSPECTED, "", checks)
            if checks
            else CoverageEntry("response", pointer, CoverageState.SKIPPED, "no_check")
            for pointer, checks in self._seen.items()
        )


def _too_many(most: int) -> ExchangeError:
    return ExchangeError("too_many_channels", f"the upstream streams more than {most} texts", 502)
