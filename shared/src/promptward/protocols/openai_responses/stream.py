"""The event stream of the Responses API.

A text arrives as `….delta` events, then whole in its `….done` event, again in the part, the item
and the final response. Deltas are the pieces of one channel, which its `….done` closes; everything
else is read as the whole texts of a (partial) response object, under the same pointers, so that
both ways of reading end in the same findings. Events are numbered: where the guard puts an extra
one in, all later numbers move up. Source: OpenAI API reference, "Responses, streaming events".
"""

from __future__ import annotations

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.jsonstrict import JsonLimits, dumps_canonical, parse_object
from promptward.llm import OpaquePart
from promptward.protocols.base import Channel, Delta, StreamEvent, sse_event
from promptward.protocols.event_texts import (
    identifier,
    is_structure,
    quiet,
    unexpected,
    whole_member,
)
from promptward.protocols.openai_responses.items import read_item, read_part
from promptward.protocols.openai_responses.response import (
    read_response_object,
    read_usage,
)
from promptward.protocols.openai_responses.whole import read_whole
from promptward.protocols.responses import response_collector

_LIMITS = JsonLimits(max_bytes=2**31)  # the framer bounds the size
_MAX_INDEX = 4096  # our bound on items, parts and summaries

# What a delta continues: event name without `response.` and `.delta` -> path below its item.
# `content` and `summary` stand for the part that the event's own index names.
_TEXTS: dict[str, tuple[str, ...]] = {
    "output_text": ("content", "text"),
    "refusal": ("content", "refusal"),
    "reasoning_text": ("content", "text"),
    "reasoning_summary_text": ("summary", "text"),
    "function_call_arguments": ("arguments",),
    "mcp_call_arguments": ("arguments",),
    "custom_tool_call_input": ("input",),
    "code_interpreter_call_code": ("code",),
}
_FINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
_QUIET = frozenset({"item_id", "obfuscation", "id", "call_id", "name", "delta_id"})
_OBJECTS = frozenset({"response", "item", "part", "annotation"})
_INDEXES = ("output_index", "content_index", "summary_index")


class ResponsesStreamCodec:
    """Implements `StreamCodec`."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}  # open, by pointer
        self._events: dict[str, dict[str, JSON]] = {}  # pointer -> envelope of its deltas
        self._current = StreamEvent({})
        self._number = -1  # of the last event that went out
        self._extra = 0  # events put in so far
        self._over = False

    @property
    def complete(self) -> bool:
        return self._over

    def read(self, name: str, data: bytes) -> StreamEvent:
        if data == b"[DONE]":  # not this protocol's own, but some gateways append it
            self._over = True
            return StreamEvent({}, end=True)
        event = self._current = StreamEvent(_parsed(data))
        document = event.document
        kind = document.get("type")
        if not isinstance(kind, str) or name not in ("", kind) or self._over:
            raise unexpected("/type: expected the event's name, and nothing after the last event")
        identifier((), kind)
        self._number_of(event)
        stem, _, step = kind.removeprefix("response.").rpartition(".")
        known = {"type", "sequence_number", *_INDEXES}
        if step == "delta" and isinstance(document.get("delta"), str):
            self._read_delta(event, stem)
            known.add("delta")
        elif step == "done":
            self._close(event, stem)
        for key, value in document.items():
            if key not in known or not (key in ("type", "delta") or type(value) is int):
                self._read_member(event, stem, key, value)
        if kind == "error" or kind in _FINAL:
            event.closes_all = self._over = True
            response = document.get("response")
            if isinstance(response, dict):
                event.usage = read_usage(response.get("usage"))
        return event

    def _number_of(self, event: StreamEvent) -> None:
        number = event.document.get("sequence_number")
        if type(number) is int:
            self._number = number + self._extra
            if self._extra:
                event.document["sequence_number"] = self._number
                event.changed = True

    def _read_delta(self, event: StreamEvent, stem: str) -> None:
        document = event.document
        text = document["delta"]
        pointer, _ = _pointer(document, stem)
        channel = self._channels.get(pointer)
        if channel is None:
            channel = self._channels[pointer] = _channel(pointer, stem)
            keep = ("type", "item_id", *_INDEXES)
            self._events[pointer] = {
                k: document[k] for k in keep if k in document and is_structure(document[k])
            }
        event.deltas.append(Delta(channel, str(text), ("delta",)))
        if document.get("logprobs"):
            event.echoes = ((("logprobs",), channel, []),)

    def _close(self, event: StreamEvent, stem: str) -> None:
        """Close what is done: a text, or every text of a part or an item."""
        document = event.document
        if stem in _TEXTS:
            done = [_pointer(document, stem)[0]]
        else:
            prefix = f"/output/{_index(document, 'output_index')}/"
            for part in ("content", "summary"):
                if f"{part}_index" in document:
                    prefix += f"{part}/{_index(document, f'{part}_index')}/"
            done = [pointer for pointer in self._channels if pointer.startswith(prefix)]
        closed = (self._channels.pop(pointer, None) for pointer in done)
        event.closes = [channel for channel in closed if channel is not None]

    def _read_member(self, event: StreamEvent, stem: str, key: str, value: JSON) -> None:
        document = event.document
        if key in _QUIET:
            quiet(event, (key,), value)
        elif key in _OBJECTS:
            self._read_object(event, stem, key, _object(key, value))
        elif stem in _TEXTS and key == _TEXTS[stem][-1] and isinstance(value, str):
            channel = _channel(_pointer(document, stem)[0], stem)
            event.deltas.append(Delta(channel, value, (key,), whole=True))
        elif key == "logprobs" and stem == "output_text":
            if value:
                channel = _channel(_pointer(document, stem)[0], stem)
                event.echoes = ((("logprobs",), channel, []),)
        elif key == "partial_image_b64":
            at = f"/output/{_index(document, 'output_index')}"
            event.opaque = (OpaquePart(at, Source.ASSISTANT, "inline_image"),)
        else:
            whole_member(event, (), key, value)

    def _read_object(self, event: StreamEvent, stem: str, key: str, value: dict[str, JSON]) -> None:
        """A piece of the response that arrives whole, under the pointer it has there."""
        document = event.document
        collector = response_collector()
        prefix = ""
        if key == "response":
            read_response_object(collector, prefix, value)
        elif key == "item":
            prefix = f"/output/{_index(document, 'output_index')}"
            read_item(collector, prefix, Source.ASSISTANT, value)
        elif key == "part":
            prefix = _pointer(document, "reasoning_summary_text" if "summary" in stem else "")[1]
            read_part(collector, prefix, Source.ASSISTANT, value)
        else:
            number = _index(document, "annotation_index")
            prefix = f"{_pointer(document, stem)[1]}/annotations/{number}"
            collector.walk(prefix, Source.ASSISTANT, value)
        read_whole(event, (key,), value, prefix, collector)

    def remainder(self, channel: Channel, text: str) -> bytes:
        document: dict[str, JSON] = {**self._events[channel.pointer], "delta": text}
        following = self._current
        if type(following.document.get("sequence_number")) is int:
            self._extra += 1
            self._number += 1
            if following.sent:
                document["sequence_number"] = self._number
            else:
                document["sequence_number"] = self._number - 1
                following.document["sequence_number"] = self._number
                following.changed = True
        return sse_event(dumps_canonical(document), str(document["type"]))


def _parsed(data: bytes) -> dict[str, JSON]:
    try:
        return parse_object(data, _LIMITS)
    except ExchangeError as error:
        raise unexpected(f"an event that is not strict JSON ({error.code})") from None


def _object(key: str, value: JSON) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise unexpected(f"/{key}: expected an object")
    return value


def _index(document: dict[str, JSON], key: str) -> int:
    index = document.get(key)
    if type(index) is not int or not 0 <= index < _MAX_INDEX:
        raise unexpected(f"/{key}: expected 0 to {_MAX_INDEX - 1}")
    return index


def _pointer(document: dict[str, JSON], stem: str) -> tuple[str, str]:
    """Where the text of an event stands in the whole response, and the part or item it is in."""
    holder = f"/output/{_index(document, 'output_index')}"
    path = _TEXTS.get(stem, ("content", "text") if "content_index" in document else (stem,))
    if len(path) > 1:
        holder += f"/{path[0]}/{_index(document, f'{path[0]}_index')}"
    return f"{holder}/{path[-1]}", holder


def _channel(pointer: str, stem: str) -> Channel:
    arguments = stem.endswith("_arguments")
    tool = arguments or stem.endswith(("_input", "_code"))
    source = Source.TOOL_ARGUMENTS if tool else Source.ASSISTANT
    return Channel(pointer, source, arguments)
