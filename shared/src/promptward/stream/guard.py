"""The guard of one response stream: event stream in, inspected event stream out.

    bytes → EventFramer → StreamCodec.read → filters of each channel → changed events → bytes

Invariants: nothing is forwarded that was not parsed and read; an event in which nothing changes is
forwarded byte for byte; the output depends on the input's bytes only, never on where they were cut
(docs/adr/0004). Held-back text of a channel goes into the event that completes it, or into an
extra event right before that one. On a refusal (a filter's, or a stream that cannot be read) the
client gets one error event in its own protocol and nothing after it: fail closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.findings import CoverageEntry, CoverageState, Finding
from promptward.jsonstrict import dumps_canonical
from promptward.llm import OpaquePart, Usage
from promptward.protocols.base import Channel, ChatProtocol, Delta, Place, StreamEvent
from promptward.protocols.collect import IDENTIFIER
from promptward.stream.channels import ChannelBlocked, ChannelSet, OpenFilters
from promptward.stream.framer import EventFramer, EventTooLargeError, Frame

_FRAMING = Channel("", Source.ASSISTANT)  # comments, ids, unknown fields: text beside the body
_UTF8_MAX_BYTES = 4  # bytes of a code point, RFC 3629


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds on one response stream.

    Attributes:
        max_event_bytes: largest event.
        max_channels: texts with a place of their own (choices, tool calls, ...).
        channel_bound_chars: most characters that the filters of one channel hold back together,
            as they declare.
    """

    max_event_bytes: int = 1_048_576
    max_channels: int = 512
    channel_bound_chars: int = 8_192


@dataclass(frozen=True, slots=True)
class StreamFailure:
    """Why the guard ended the stream.

    Attributes:
        code: stable snake_case code, also in the error event.
        category: `content` when a check refused, `unavailable` when the upstream failed.
        message: what the client was told.
        status: the HTTP status it would have had.
    """

    code: str
    category: str
    message: str
    status: int


class EventStreamGuard:
    """Implements `engine.StreamGuard`.

    Args:
        protocol: of the request; the response speaks it too.
        open_filters: what reads a channel; see `stream.channels`.
        drop_usage: we asked for the usage report, the client did not.
        block_opaque: refuse a stream with parts that cannot be inspected.
        limits: see StreamLimits.
    """

    def __init__(
        self,
        protocol: ChatProtocol,
        open_filters: OpenFilters,
        *,
        drop_usage: bool = False,
        block_opaque: bool = True,
        limits: StreamLimits = StreamLimits(),
    ) -> None:
        self._protocol = protocol
        self._codec = protocol.open_stream(drop_usage=drop_usage)
        self._framer = EventFramer(limits.max_event_bytes)
        self._channels = ChannelSet(open_filters, limits.max_channels)
        self._block_opaque = block_opaque
        self._limits = limits
        self._opaque: dict[str, OpaquePart] = {}
        self._ended = self._closed = False
        self.failure: StreamFailure | None = None
        self.fault: Exception | None = None  # our own bug, for the host's log
        self.usage: Usage | None = None
        self.counting = False  # `usage` is not the whole yet
        self.output_chars = 0

    def feed(self, data: bytes) -> bytes:
        """Take a chunk (any cut); return what may go to the client now. Never raises."""
        if self.failure is not None or self._closed:
            return b""
        return self._run(self._framer.feed(data))

    def close(self) -> bytes:
        """The upstream ended; return the rest. Idempotent, never raises."""
        if self.failure is not None or self._closed:
            return b""
        out = self._run(self._framer.close())
        self._closed = True
        if self.failure is None and not self._ended:
            out += self._finish()
        return out

    @property
    def blocked(self) -> bool:
        """The stream was refused: stop reading, end it."""
        return self.failure is not None

    @property
    def finished(self) -> bool:
        """The upstream said that it was done."""
        return self._ended or self._codec.complete

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the filters found."""
        return self._channels.findings

    @property
    def coverage(self) -> tuple[CoverageEntry, ...]:
        """Every text and every opaque part of the response, and who read it."""
        opaque = (
            CoverageEntry("response", p.pointer, CoverageState.UNINSPECTABLE, p.reason)
            for p in self._opaque.values()
        )
        return (*self._channels.coverage, *opaque)

    @property
    def opaque(self) -> tuple[OpaquePart, ...]:
        """Parts that nobody could inspect."""
        return tuple(self._opaque.values())

    @property
    def retained_bytes_bound(self) -> int:
        """Most bytes of the stream that are held back at any time."""
        limits = self._limits
        held = limits.max_channels * limits.channel_bound_chars * _UTF8_MAX_BYTES
        return limits.max_event_bytes + held

    def _run(self, frames: Iterator[Frame]) -> bytes:
        out: list[bytes] = []
        try:
            for frame in frames:
                out += self._pass(frame)
        except Exception as error:  # noqa: BLE001 - fail closed, see _refuse
            out.append(self._refuse(error))
        return b"".join(out)

    def _refuse(self, error: Exception) -> bytes:
        """End the stream. A bug in a filter ends it too: nothing may pass that nobody read."""
        if isinstance(error, ChannelBlocked):
            denial = error.denial
            return self._fail(denial.code, denial.message, denial.status, "content")
        if isinstance(error, ExchangeError):
            category = "unavailable" if error.status >= 500 else "content"
            return self._fail(error.code, error.message, error.status, category)
        if isinstance(error, EventTooLargeError):
            limit = self._limits.max_event_bytes
            message = f"the upstream sent an event larger than {limit} bytes"
            return self._fail("event_too_large", message, 502, "unavailable")
        self.fault = error
        return self._fail("internal_error", "the stream could not be inspected", 500, "unavailable")

    def _fail(self, code: str, message: str, status: int, category: str) -> bytes:
        self.failure = StreamFailure(code, category, message, status)
        if self._ended:
            return b""  # the client was already told that it has everything
        return self._protocol.stream_error(status, code, category, message)

    def _pass(self, frame: Frame) -> list[bytes]:
        """What becomes of one frame."""
        others = frame.others
        if others or frame.name:
            others = self._inspect_framing(frame)
        if not frame.data:  # a comment, a lone id, an empty heartbeat: nothing beside the framing
            return [frame.raw] if others is frame.others else []
        if self._ended:
            raise ExchangeError(
                "data_after_end", "the upstream's stream goes on behind its last event", 502
            )
        event = self._codec.read(frame.name.decode() if frame.name else "", frame.data)
        return self._pass_event(frame, others, event)

    def _inspect_framing(self, frame: Frame) -> tuple[bytes, ...]:
        """The lines beside `data` that may pass; the frame's own tuple when all may.

        Raises:
            ExchangeError: `invalid_utf8`.
        """
        try:
            if frame.name and IDENTIFIER.fullmatch(frame.name.decode("utf-8")) is None:
                raise ExchangeError(
                    "unexpected_event", "the upstream's stream: an event name is no identifier", 502
                )
            kept = tuple(
                line
                for line in frame.others
                if self._channels.whole(_FRAMING, text := line.decode("utf-8")) == text
            )
        except UnicodeDecodeError:
            raise ExchangeError(
                "invalid_utf8", "the upstream's stream is not valid UTF-8", 502
            ) from None
        return frame.others if len(kept) == len(frame.others) else kept

    def _pass_event(
        self, frame: Frame, others: tuple[bytes, ...], event: StreamEvent
    ) -> list[bytes]:
        if event.usage is not None or event.opaque:
            self._note(event)
        changed = others is not frame.others
        released: dict[str, tuple[Place, str]] = {}
        for delta in event.deltas:
            changed |= self._filter(event.document, delta, released)
        before: list[bytes] = []
        completed = (event.closes or event.end or event.closes_all) and self._completed(event)
        for channel, rest in completed or ():
            if channel.pointer in released:
                place, text = released[channel.pointer]
                _put(event.document, place, text + rest)
                changed = True
            else:
                before.append(self._codec.remainder(channel, rest))
        for place, channel, replacement in event.echoes:
            if self._channels.chain(channel) is not None:
                _put(event.document, place, replacement)
                changed = True
        self._ended = event.end
        event.sent = True
        if event.drop:
            return before
        return [
            *before,
            _encoded(frame, others, event.document) if changed or event.changed else frame.raw,
        ]

    def _note(self, event: StreamEvent) -> None:
        """Keep what the event says beside its texts."""
        if event.usage is not None:
            self.usage, self.counting = event.usage, event.counting
        for part in event.opaque:
            self._opaque[part.pointer] = part
            if self._block_opaque:
                raise ExchangeError(
                    "uninspectable_content",
                    f"The content at {part.pointer} cannot be inspected ({part.reason}) and the"
                    " policy does not let it through.",
                )

    def _filter(
        self, document: dict[str, JSON], delta: Delta, released: dict[str, tuple[Place, str]]
    ) -> bool:
        """Run one string through its filters; whether it changed in the document."""
        if delta.whole:
            text = self._channels.whole(delta.channel, delta.text)
        else:
            self.output_chars += len(delta.text)
            chain = self._channels.chain(delta.channel)
            if chain is None:
                return False
            text = chain.feed(delta.text)
            released[delta.channel.pointer] = (delta.place, text)
        if text == delta.text:
            return False
        if not delta.place:
            raise ExchangeError(
                "unexpected_event", "the upstream's stream: an object key would have to change", 502
            )
        _put(document, delta.place, text)
        return True

    def _completed(self, event: StreamEvent) -> list[tuple[Channel, str]]:
        """The channels that end with this event and what they still held."""
        held = []
        for channel in event.closes:
            chain = self._channels.chain(channel)
            rest = chain.close() if chain is not None else ""
            if rest:
                held.append((channel, rest))
        if event.end or event.closes_all:
            held += self._channels.remainders()
        return held

    def _finish(self) -> bytes:
        """The stream ended without the protocol's last event: release what is certain."""
        out: list[bytes] = []
        try:
            for channel, rest in self._channels.remainders():
                out.append(self._codec.remainder(channel, rest))
            if not self._codec.complete:
                raise ExchangeError(
                    "stream_truncated", "the upstream's stream ended before it was complete", 502
                )
        except Exception as error:  # noqa: BLE001 - fail closed, see _refuse
            out.append(self._refuse(error))
        return b"".join(out)


def _put(document: dict[str, JSON], place: Place, value: JSON) -> None:
    """Write `value` at `place`, which the codec found in this very document."""
    container: JSON = document
    for token in place[:-1]:
        container = container[token]  # type: ignore[index]
    container[place[-1]] = value  # type: ignore[index]


def _encoded(frame: Frame, others: tuple[bytes, ...], document: dict[str, JSON]) -> bytes:
    """The event with its data re-written; the lines beside it stay."""
    data = dumps_canonical(document) if document else frame.data or b""
    if not (others or frame.name):
        return b"data: %b\n\n" % data
    lines = [b"event: " + frame.name] if frame.name else []
    return b"\n".join((*others, *lines, b"data: " + data, b"", b""))
