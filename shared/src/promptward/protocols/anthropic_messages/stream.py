"""The event stream of an Anthropic message.

    message_start, then per block: content_block_start, content_block_delta…, content_block_stop,
    then message_delta (stop reason, usage), message_stop; ping and error anywhere

Each block is one channel. What a start event carries beyond it is a whole text. Invariants: the
`event` field agrees with the data's `type`; unknown event types are walked for text, unknown
delta types are refused, because nobody could join them. Source: Anthropic API reference,
"Streaming messages".
"""

from __future__ import annotations

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.jsonstrict import JsonLimits, dumps_canonical, parse_object
from promptward.protocols.anthropic_messages.blocks import read_block
from promptward.protocols.anthropic_messages.response import read_usage
from promptward.protocols.base import BAD_GATEWAY, Channel, Delta, StreamEvent, sse_event
from promptward.protocols.collect import SEALED, PartCollector
from promptward.protocols.event_texts import (
    identifier,
    object_key,
    quiet,
    unexpected,
    whole,
    whole_member,
)

_LIMITS = JsonLimits(max_bytes=2**31)  # the framer bounds the size
_MAX_BLOCKS = 4096  # our bound
_MAX_BLOCK_PARTS = 4096  # texts in one block that arrives whole (search results); our bound

# delta type -> (member that carries the text, member of the assembled block)
_DELTAS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("partial_json", "input"),
}
_INITIAL = {"text": "text", "thinking": "thinking"}  # block type -> member continued by deltas
_SEALED = frozenset({"type", "signature", "data"})


class MessagesStreamCodec:
    """Implements `StreamCodec`."""

    def __init__(self) -> None:
        self._channels: dict[int, Channel] = {}  # open blocks, by index
        self._kinds: dict[str, tuple[int, str]] = {}  # pointer -> index, delta type
        self._start_usage: dict[str, JSON] = {}
        self._over = False

    @property
    def complete(self) -> bool:
        return self._over

    def read(self, name: str, data: bytes) -> StreamEvent:
        try:
            document = parse_object(data, _LIMITS)
        except ExchangeError as error:
            raise unexpected(f"an event that is not strict JSON ({error.code})") from None
        kind = document.get("type")
        if not isinstance(kind, str) or name not in ("", kind):
            raise unexpected("/type: expected the event's name")
        event = StreamEvent(document)
        for key, value in document.items():
            if key == "type":
                identifier((), kind)
            elif key == "message" and kind == "message_start":
                self._read_start(event, value)
            elif key == "content_block" and kind == "content_block_start":
                self._read_block(event, value)
            elif key == "delta" and kind == "content_block_delta":
                self._read_delta(event, value)
            elif key == "delta" and kind == "message_delta":
                self._read_end(event, value)
            elif key == "usage":
                self._read_usage(event, value)
            else:
                whole_member(event, (), key, value)
        if kind == "content_block_stop":
            channel = self._channels.pop(_index(document), None)
            event.closes = () if channel is None else (channel,)
        event.end = kind == "message_stop"
        event.closes_all = kind == "error"
        self._over = self._over or event.end or event.closes_all
        return event

    def _read_start(self, event: StreamEvent, message: JSON) -> None:
        if not isinstance(message, dict):
            raise unexpected("/message: expected an object")
        for key, value in message.items():
            if key in ("id", "model", "role", "type"):
                quiet(event, ("message", key), value)
            else:
                whole_member(event, ("message",), key, value)
        usage = message.get("usage")
        self._start_usage = usage if isinstance(usage, dict) else {}

    def _read_usage(self, event: StreamEvent, value: JSON) -> None:
        """The last event's counts are the message's; input counts may stand at the start only."""
        if isinstance(value, dict):
            counts = {k: v for k, v in value.items() if v is not None}
            event.usage = read_usage({**self._start_usage, **counts})
        whole(event, ("usage",), value)

    def _read_end(self, event: StreamEvent, delta: JSON) -> None:
        if not isinstance(delta, dict):
            raise unexpected("/delta: expected an object")
        for key, value in delta.items():
            if key == "stop_reason":
                quiet(event, ("delta", key), value)
            else:
                whole_member(event, ("delta",), key, value)

    def _read_block(self, event: StreamEvent, block: JSON) -> None:
        if not isinstance(block, dict):
            raise unexpected("/content_block: expected an object")
        index = _index(event.document)
        if index in self._channels or len(self._kinds) >= _MAX_BLOCKS:
            raise unexpected("/index: expected a new block")
        kind = block.get("type")
        collector = PartCollector(_MAX_BLOCK_PARTS, BAD_GATEWAY)
        read_block(collector, f"/content/{index}", Source.ASSISTANT, block)
        event.opaque = tuple(collector.opaque)
        initial = _INITIAL.get(kind) if isinstance(kind, str) else None
        if initial is not None:
            channel = self._open(index, f"{initial}_delta")
            text = block.get(initial)
            if isinstance(text, str):
                event.deltas.append(Delta(channel, text, ("content_block", initial)))
        for key, value in block.items():
            object_key(event, ("content_block",), key)
            if key in ("id", "name", "tool_use_id"):
                quiet(event, ("content_block", key), value)
            elif key not in (initial, "type") and not (key in _SEALED and _is_sealed(value)):
                whole(event, ("content_block", key), value)

    def _read_delta(self, event: StreamEvent, delta: JSON) -> None:
        kind = delta.get("type") if isinstance(delta, dict) else None
        if not isinstance(delta, dict) or not isinstance(kind, str):
            raise unexpected("/delta: expected an object with a type")
        carrier = _DELTAS.get(kind, ("", ""))[0]
        if not carrier and kind not in ("citations_delta", "signature_delta"):
            raise unexpected("/delta/type: expected a known kind of delta")
        for key, value in delta.items():
            if key == carrier:
                if not isinstance(value, str):
                    raise unexpected(f"/delta/{carrier}: expected a string")
                channel = self._open(_index(event.document), kind)
                event.deltas.append(Delta(channel, value, ("delta", key)))
            elif not (key in _SEALED and _is_sealed(value)):
                whole_member(event, ("delta",), key, value)

    def _open(self, index: int, kind: str) -> Channel:
        channel = self._channels.get(index)
        if channel is None:
            member = _DELTAS[kind][1]
            arguments = kind == "input_json_delta"
            source = Source.TOOL_ARGUMENTS if arguments else Source.ASSISTANT
            channel = Channel(f"/content/{index}/{member}", source, arguments)
            self._channels[index] = channel
            self._kinds[channel.pointer] = (index, kind)
        elif self._kinds[channel.pointer][1] != kind:
            raise unexpected("/delta/type: expected the kind of its block")
        return channel

    def remainder(self, channel: Channel, text: str) -> bytes:
        index, kind = self._kinds[channel.pointer]
        document: dict[str, JSON] = {
            "type": "content_block_delta",
            "index": index,
            "delta": {"type": kind, _DELTAS[kind][0]: text},
        }
        return sse_event(dumps_canonical(document), "content_block_delta")


def _is_sealed(value: JSON) -> bool:
    return isinstance(value, str) and SEALED.fullmatch(value) is not None


def _index(document: dict[str, JSON]) -> int:
    index = document.get("index")
    if type(index) is not int or not 0 <= index < _MAX_BLOCKS:
        raise unexpected(f"/index: expected 0 to {_MAX_BLOCKS - 1}")
    return index
