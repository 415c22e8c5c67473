"""What a wire protocol of an LLM API must provide: body and stream to the neutral view, and back.

Invariants: a protocol is chosen by the request's path alone, then the body's shape is verified;
they may never disagree silently. Parsing accounts for every string a client or a model supplied:
it is a `Part`, or part of the fixed structure (a known field holding a bare word), or opaque.
Wrong types in known fields are an `ExchangeError` that names the JSON pointer. Protocols hold no
state; one `StreamCodec` per response stream does. No policy and no detection belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from promptward.exchange import JSON, Source
from promptward.llm import LlmRequest, LlmResponse, OpaquePart, Usage
from promptward.values import value_object

BAD_GATEWAY = 502
"""Status hint of errors in an upstream's response."""

# Gateways and vendors put prefixes before the route (`/openai/v1`, `/api/v1`). A segment begins
# with a letter or digit, so dot segments, empty ones and percent-encoding never match.
ROUTE_PREFIX = r"(?:/[A-Za-z0-9][A-Za-z0-9._~-]{0,63}){0,8}?"

Place = tuple[str | int, ...]  # keys and indexes from the root of a document


@value_object(frozen=True, slots=True)
class RequestLimits:
    """Bounds on what one request may hold.

    Attributes:
        max_messages: messages, at least 1.
        max_parts: texts and opaque parts together, at least 1.
    """

    max_messages: int = 2_048
    max_parts: int = 8_192


DEFAULT_REQUEST_LIMITS = RequestLimits()


@value_object(frozen=True, slots=True)
class Channel:
    """One text that a response stream delivers in pieces.

    Attributes:
        pointer: where the assembled text stands in the whole (not streamed) response, so that
            findings and coverage read the same either way.
        source: who wrote it.
        json_escaped: the text is itself JSON source; see `llm.Part`.
    """

    pointer: str
    source: Source
    json_escaped: bool = False


@dataclass(slots=True)
class Delta:
    """A string in a stream event.

    Attributes:
        channel: the text it belongs to.
        text: the string.
        place: where it stands in the event's document; empty for an object key, which can be
            read but not changed.
        whole: True when it is a complete text of its own, not a continuation.
    """

    channel: Channel
    text: str
    place: Place
    whole: bool = False


@dataclass(slots=True)
class StreamEvent:
    """One event, decoded. Owned by the guard, which writes changed strings into `document`.

    Attributes:
        document: the parsed data; empty for an event that is not JSON (`[DONE]`).
        deltas: its strings, in document order.
        closes: channels that are complete with this event (their remainder goes into it, or
            before it).
        echoes: values that repeat a channel's text in another form (log probabilities): where
            that channel is inspected they give way to the replacement named here, because what
            they repeat may be held back or change.
        opaque: parts that cannot be inspected.
        usage: token counts, when it carries them.
        counting: more tokens may come after those in `usage`.
        changed: the codec itself altered `document` (an injected usage field taken out, a
            sequence number moved by an extra event); `remainder` may still set it.
        drop: the client did not ask for this event and must not see it.
        end: the protocol's last event.
        sent: the guard is done with it.
        closes_all: every channel ends here, though more events may follow (a failure).
    """

    document: dict[str, JSON]
    deltas: list[Delta] = field(default_factory=list)
    closes: Sequence[Channel] = ()
    echoes: Sequence[tuple[Place, Channel, JSON]] = ()
    opaque: Sequence[OpaquePart] = ()
    usage: Usage | None = None
    counting: bool = False
    changed: bool = False
    drop: bool = False
    end: bool = False
    sent: bool = False
    closes_all: bool = False


class StreamCodec(Protocol):
    """Reads the events of one stream, in order; remembers what later events need."""

    def read(self, name: str, data: bytes) -> StreamEvent:
        """Decode one event.

        Args:
            name: the event's `event:` field, empty when it has none.
            data: its data, lines joined by LF, bounded by the framer.

        Raises:
            ExchangeError: (502) broken JSON or a shape this protocol does not have.
        """
        ...

    def remainder(self, channel: Channel, text: str) -> bytes:
        """A complete extra event, in the stream's current envelope, carrying `text`."""
        ...

    @property
    def complete(self) -> bool:
        """Whether the stream may end here without being cut off."""
        ...


class ChatProtocol(Protocol):
    """One LLM wire format."""

    @property
    def name(self) -> str:
        """For example `openai.chat`; what policies call it."""
        ...

    def matches(self, method: str, path: str) -> bool:
        """Whether the route `path` (query allowed) speaks this protocol."""
        ...

    def parse_request(
        self, document: JSON, limits: RequestLimits = DEFAULT_REQUEST_LIMITS, path: str = ""
    ) -> LlmRequest:
        """The neutral view of a request body.

        Args:
            document: what `jsonstrict.parse` returned.
            limits: see RequestLimits.
            path: as in the exchange; some routes carry the model.

        Raises:
            ExchangeError: `invalid_type`, `missing_field`, `invalid_value`, `model_mismatch`,
                `too_many_messages`, `too_many_parts`.
        """
        ...

    def rewrite_request(
        self,
        request: LlmRequest,
        edits: Mapping[str, str],
        *,
        inject_usage: bool = False,
        max_output_tokens: int | None = None,
    ) -> bytes | None:
        """The body to forward, or None when nothing changes.

        Args:
            edits: pointer of a part -> its new text.
            inject_usage: make a stream report its usage.
            max_output_tokens: lower (never raise) the cap, or set one.
        """
        ...

    def parse_response(self, document: JSON) -> LlmResponse:
        """The neutral view of a whole response, error bodies included.

        Raises:
            ExchangeError: (502) a shape this protocol does not have.
        """
        ...

    def rewrite_response(self, response: LlmResponse, edits: Mapping[str, str]) -> bytes | None:
        """The body to return, or None when nothing changes."""
        ...

    def error_body(self, status: int, code: str, category: str, message: str) -> bytes:
        """The error as this protocol's clients expect it; same input, same bytes."""
        ...

    def stream_error(self, status: int, code: str, category: str, message: str) -> bytes:
        """The same as the last event(s) of a stream."""
        ...

    def open_stream(self, *, drop_usage: bool) -> StreamCodec:
        """A codec for one response stream.

        Args:
            drop_usage: the usage report was injected; the client must not see it.
        """
        ...


def sse_event(data: bytes, name: str = "") -> bytes:
    """One event of an event stream (WHATWG HTML, section 9.2.6); `data` has no line ends."""
    if name:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
    return b"data: %b\n\n" % data
