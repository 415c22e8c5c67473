"""The event stream of an OpenAI chat completion.

Every string in a `delta` continues a channel of its choice: known ones (`content`, `refusal`,
`reasoning_content`, tool-call arguments) and, by their place, unknown ones. Everything else in an
event is a whole text, an id or a word. Invariants: each choice and each tool call is its own
channel; a tool call is complete when the next one of its choice begins, a choice when it names a
`finish_reason`. Source: OpenAI API reference, "The chat completion chunk object" and
`stream_options.include_usage`; vendors' additions as seen at DeepSeek, vLLM, OpenRouter, Mistral.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.jsonstrict import JsonLimits, dumps_canonical, parse_object
from promptward.llm import OpaquePart
from promptward.protocols.base import Channel, Delta, Place, StreamEvent, sse_event
from promptward.protocols.event_texts import (
    identifier,
    is_structure,
    object_key,
    pointer_of,
    quiet,
    unexpected,
    visit,
    whole,
    whole_member,
)
from promptward.protocols.openai_chat.response import read_usage
from promptward.values import value_object

_LIMITS = JsonLimits(max_bytes=2**31)  # the framer bounds the size
_MAX_INDEX = 1024  # choices are at most 128 by the reference; tool calls have no stated maximum
_ENVELOPE = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "provider")
_QUIET = frozenset({*_ENVELOPE, "obfuscation"})
_CHOICE_KEYS = frozenset(
    {"index", "logprobs", "finish_reason", "native_finish_reason", "stop_reason"}
)
_DELTA_KEYS = frozenset({"role", "content", "refusal", "tool_calls", "function_call"})
_MUST_BE_TEXT = frozenset({"role", "refusal", "reasoning_content"})
# Strings below a delta's own members that arrive in pieces; any other one there is complete.
_CONTINUED = frozenset({"arguments", "input", "text", "thinking", "summary", "transcript"})
_ARGUMENTS = frozenset({"arguments", "input"})
_IDS = frozenset({"id", "name", "type", "call_id"})


@value_object(frozen=True, slots=True)
class _Route:
    """Where a channel's text goes inside a delta: its choice, the path, and list items' tags."""

    choice: int
    path: Place
    tags: dict[int, dict[str, JSON]] = field(default_factory=dict)  # depth -> index and type


@dataclass(slots=True)
class _Choice:
    """What one choice has opened and not yet closed."""

    index: int
    texts: dict[str, Channel] = field(default_factory=dict)  # by member of the delta
    open: dict[str, Channel] = field(default_factory=dict)  # by pointer, in order of appearance
    tool_call: int | None = None
    finished: bool = False


class ChatStreamCodec:
    """Implements `StreamCodec`.

    Args:
        drop_usage: take the injected usage report out again.
    """

    def __init__(self, drop_usage: bool) -> None:
        self._drop_usage = drop_usage
        self._choices: dict[int, _Choice] = {}
        self._channels: dict[tuple[int, Place], Channel] = {}
        self._routes: dict[str, _Route] = {}
        self._last: dict[str, JSON] = {}
        self._over = False

    @property
    def complete(self) -> bool:
        return self._over or (
            bool(self._choices) and all(c.finished for c in self._choices.values())
        )

    def read(self, name: str, data: bytes) -> StreamEvent:
        if data.startswith(b"[DONE]") and not data[6:].strip():
            self._over = True
            return StreamEvent({}, end=True)
        event = StreamEvent(_parsed(data))
        document = event.document
        previous = self._last
        for key, value in document.items():
            if key == "choices":
                self._read_choices(event, value)
            elif key in _QUIET:
                if previous.get(key) != value:  # the envelope repeats itself
                    quiet(event, (key,), value)
            elif key != "usage":
                whole_member(event, (), key, value)
        if document.get("error") is not None or name == "error":
            self._over = event.closes_all = True
        elif "choices" not in document:
            raise unexpected("expected choices, an error or the end")
        if document.get("usage") is not None or (self._drop_usage and "usage" in document):
            self._read_usage(event, document)
        return event

    def _read_usage(self, event: StreamEvent, document: dict[str, JSON]) -> None:
        event.usage = read_usage(document["usage"])
        event.counting = not self.complete  # several vendors report it with every event
        if self._drop_usage:
            event.drop = document["usage"] is not None and not (
                document.get("choices") or event.deltas or event.closes_all
            )
            del document["usage"]
            event.changed = True
        else:
            whole(event, ("usage",), document["usage"])

    def _read_choices(self, event: StreamEvent, value: JSON) -> None:
        if not isinstance(value, list):
            raise unexpected("/choices: expected an array")
        if value:
            self._last = event.document
        for position, choice in enumerate(value):
            if not isinstance(choice, dict):
                raise unexpected(f"/choices/{position}: expected an object")
            index = _index(choice, position)
            state = self._choices.get(index)
            if state is None:
                state = self._choices[index] = _Choice(index)
            for key, member in choice.items():
                if key == "delta":
                    self._read_delta(event, state, position, member)
                elif member is not None or key not in _CHOICE_KEYS:
                    self._read_choice_field(event, state, position, key, member)
            if choice.get("finish_reason") is not None:
                state.finished = True
                event.closes = [*event.closes, *state.open.values()]
                state.open.clear()

    def _read_choice_field(
        self, event: StreamEvent, state: _Choice, position: int, key: str, value: JSON
    ) -> None:
        place = ("choices", position)
        if key == "logprobs":
            content = self._channel(state, ("content",), False)
            event.echoes = [*event.echoes, ((*place, key), content, None)]
        elif key in _CHOICE_KEYS:
            quiet(event, (*place, key), value)
        else:
            whole_member(event, place, key, value)

    def _read_delta(self, event: StreamEvent, state: _Choice, position: int, delta: JSON) -> None:
        if delta is None:
            return
        if not isinstance(delta, dict):
            raise unexpected(f"/choices/{position}/delta: expected an object")
        place = ("choices", position, "delta")
        for key, value in delta.items():
            if isinstance(value, str):
                if key != "role":
                    channel = state.texts.get(key) or self._channel(state, (key,), False)
                    event.deltas.append(Delta(channel, value, (*place, key)))
                else:
                    quiet(event, (*place, key), value)
            elif value is not None or key not in _DELTA_KEYS:
                self._read_member(event, state, (*place, key), key, value)

    def _read_member(
        self, event: StreamEvent, state: _Choice, place: Place, key: str, value: JSON
    ) -> None:
        """A member of a delta that is no string."""
        if key not in _DELTA_KEYS:
            object_key(event, place[:-1], key)
        if value is None:
            return
        if key == "tool_calls":
            self._read_tool_calls(event, state, place, value)
        elif key in _MUST_BE_TEXT:
            raise unexpected(f"{pointer_of(place)}: expected a string")
        elif key == "content" and not isinstance(value, list):
            raise unexpected(f"{pointer_of(place)}: expected a string or an array")
        elif isinstance(value, (dict, list)):
            if key == "audio":
                at = f"/choices/{state.index}/message/audio"
                event.opaque = [*event.opaque, OpaquePart(at, Source.ASSISTANT, "audio")]
            self._read_nested(event, state, place, (key,), value)

    def _read_tool_calls(
        self, event: StreamEvent, state: _Choice, place: Place, value: JSON
    ) -> None:
        if not isinstance(value, list):
            raise unexpected(f"{pointer_of(place)}: expected an array")
        for position, call in enumerate(value):
            if not isinstance(call, dict):
                raise unexpected(f"{pointer_of(place)}/{position}: expected an object")
            number = _index(call, position)
            if number != state.tool_call:
                self._next_tool_call(event, state, number)
            self._read_nested(event, state, (*place, position), ("tool_calls", number), call)

    def _next_tool_call(self, event: StreamEvent, state: _Choice, number: int) -> None:
        """Close the previous call: clients run it as soon as the next one begins."""
        prefix = f"/choices/{state.index}/message/tool_calls/{state.tool_call}/"
        done = [p for p in state.open if p.startswith(prefix)]
        event.closes = [*event.closes, *(state.open.pop(p) for p in done)]
        state.tool_call = number

    def _read_nested(
        self,
        event: StreamEvent,
        state: _Choice,
        place: Place,
        path: Place,
        value: JSON,
    ) -> None:
        """The strings below one member of a delta.

        Args:
            place: where `value` stands in the event.
            path: where its texts go in the whole message.
        """

        def take(inner: Place, text: str) -> None:
            key = inner[-1] if inner else None
            if key in _CONTINUED:
                channel = self._channel(state, (*path, *inner), key == "arguments", (value, inner))
                event.deltas.append(Delta(channel, text, (*place, *inner)))
            elif key in _IDS:
                quiet(event, (*place, *inner), text)
            elif not (path == ("audio",) and key == "data"):
                whole(event, (*place, *inner), text)

        visit(event, place, value, take, len(place))

    def _channel(
        self,
        state: _Choice,
        path: Place,
        arguments: bool,
        origin: tuple[JSON, Place] = (None, ()),
    ) -> Channel:
        """The channel of one text of one choice, opened on first use."""
        channel = self._channels.get((state.index, path))
        if channel is None:
            for token in path:
                identifier((), token)
            pointer = pointer_of(("choices", state.index, "message", *path))
            source = Source.TOOL_ARGUMENTS if path[-1] in _ARGUMENTS else Source.ASSISTANT
            channel = self._channels[state.index, path] = Channel(pointer, source, arguments)
            self._routes[pointer] = _Route(state.index, path, _tags(path, *origin))
            state.open[pointer] = channel
            if len(path) == 1:
                state.texts[str(path[0])] = channel
        return channel

    def remainder(self, channel: Channel, text: str) -> bytes:
        route = self._routes[channel.pointer]
        node: JSON = text
        for depth in reversed(range(len(route.path))):
            token = route.path[depth]
            node = [node] if isinstance(token, int) else {**route.tags.get(depth, {}), token: node}
        envelope = {key: self._last[key] for key in _ENVELOPE if key in self._last}
        choice: JSON = {"index": route.choice, "delta": node, "finish_reason": None}
        return sse_event(dumps_canonical({**envelope, "choices": [choice]}))


def _parsed(data: bytes) -> dict[str, JSON]:
    try:
        return parse_object(data, _LIMITS)
    except ExchangeError as error:
        raise unexpected(f"an event that is not strict JSON ({error.code})") from None


def _index(holder: dict[str, JSON], position: int) -> int:
    """An item's `index`; some vendors leave it out where there is only one."""
    index = holder.get("index", position)
    if type(index) is not int or not 0 <= index < _MAX_INDEX:
        raise unexpected(f"an index: expected 0 to {_MAX_INDEX - 1}")
    return index


def _tags(path: Place, value: JSON, inner: Place) -> dict[int, dict[str, JSON]]:
    """For each list item on the way to a text, the members by which a client finds it again."""
    tags: dict[int, dict[str, JSON]] = {}
    start = len(path) - len(inner)
    for depth, token in enumerate(inner, start):
        if isinstance(value, dict):
            if depth and isinstance(path[depth - 1], int):
                known: dict[str, JSON] = {
                    k: value[k] for k in ("index", "type") if k in value and is_structure(value[k])
                }
                tags[depth] = {"index": path[depth - 1], **known} if start == depth else known
            value = value[str(token)]
        elif isinstance(value, list) and isinstance(token, int):
            value = value[token]
    return tags
