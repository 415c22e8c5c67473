"""The messages of an OpenAI chat request: every role, every content part, calls and results.

Source: OpenAI API reference, "Create chat completion", `messages` (the legacy `function` role and
`function_call` included) and the fields other vendors add (`reasoning_content`: DeepSeek, vLLM).
"""

from __future__ import annotations

from collections.abc import Callable

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.protocols.collect import PartCollector, refuse_other_case, wrong_type

_SOURCES = {
    "system": Source.SYSTEM,
    "developer": Source.DEVELOPER,
    "user": Source.USER,
    "assistant": Source.ASSISTANT,
    "tool": Source.TOOL_RESULT,
    "function": Source.TOOL_RESULT,
}
_TEXT_FIELDS = frozenset({"name", "refusal", "reasoning_content", "reasoning"})
_FIELDS = _TEXT_FIELDS | {"role", "content", "tool_calls", "function_call", "tool_call_id", "audio"}


def read_messages(collector: PartCollector, pointer: str, value: JSON, max_messages: int) -> None:
    """Read `messages`.

    Raises:
        ExchangeError: wrong types, an unknown role, or too many messages.
    """
    if not isinstance(value, list):
        wrong_type(pointer, "an array", value)
    if not value:
        raise ExchangeError("invalid_value", f"{pointer}: expected at least one message")
    if len(value) > max_messages:
        raise ExchangeError(
            "too_many_messages", f"{pointer}: expected at most {max_messages} messages", 413
        )
    for at, message in collector.objects(pointer, value):
        _read_message(collector, at, message)


def _read_message(collector: PartCollector, pointer: str, message: dict[str, JSON]) -> None:
    role = message.get("role")
    if not isinstance(role, str):
        if "role" in message:
            wrong_type(f"{pointer}/role", "a string", role)
        raise ExchangeError("missing_field", f"{pointer}/role: expected the role of the message")
    source = _SOURCES.get(role)
    if source is None:
        raise ExchangeError(
            "invalid_value", f"{pointer}/role: expected one of {', '.join(_SOURCES)}"
        )
    for key, value in message.items():
        if key == "content":
            read_content(collector, f"{pointer}/content", source, value)
        elif key == "role":
            pass
        elif key in _TEXT_FIELDS:
            collector.text(f"{pointer}/{key}", source, value)
        else:
            refuse_other_case(pointer, (key,), _FIELDS)
            read_message_field(collector, pointer, source, key, message)


def read_message_field(
    collector: PartCollector, pointer: str, source: Source, key: str, message: dict[str, JSON]
) -> None:
    """A field of a message that is not plain text."""
    value = message[key]
    if key == "tool_calls":
        for at, call in collector.objects(f"{pointer}/tool_calls", value):
            _read_call(collector, at, call)
    elif key == "function_call":
        if value is not None:
            _read_function(
                collector, f"{pointer}/{key}", collector.object(f"{pointer}/{key}", value)
            )
    elif key == "tool_call_id":
        collector.correlation_id(f"{pointer}/{key}", source, value)
    elif key == "audio":
        _read_audio(collector, f"{pointer}/{key}", source, value)
    else:
        collector.member(pointer, source, key, value, message)


def _read_audio(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    """A spoken answer, or (in history) a reference to one: either way its sound is unread."""
    if value is None:
        return
    collector.add_opaque(pointer, source, "audio")
    audio = collector.object(pointer, value)
    for key, member in audio.items():
        if key == "id":
            collector.correlation_id(f"{pointer}/id", source, member)
        elif key != "data":
            collector.member(pointer, source, key, member, audio)


def _read_call(collector: PartCollector, pointer: str, call: dict[str, JSON]) -> None:
    for key, value in call.items():
        at = f"{pointer}/{key}"
        if key == "id":
            collector.correlation_id(at, Source.TOOL_ARGUMENTS, value)
        elif key == "function":
            _read_function(collector, at, collector.object(at, value))
        elif key == "custom":
            _read_custom(collector, at, collector.object(at, value))
        else:
            collector.member(pointer, Source.TOOL_ARGUMENTS, key, value, call)


def _read_function(collector: PartCollector, pointer: str, function: dict[str, JSON]) -> None:
    for key, value in function.items():
        if key == "arguments":
            collector.text(f"{pointer}/arguments", Source.TOOL_ARGUMENTS, value, json_escaped=True)
        elif key == "name":
            collector.correlation_id(f"{pointer}/name", Source.TOOL_ARGUMENTS, value)
        else:
            collector.member(pointer, Source.TOOL_ARGUMENTS, key, value, function)


def _read_custom(collector: PartCollector, pointer: str, custom: dict[str, JSON]) -> None:
    for key, value in custom.items():
        if key == "input":
            collector.text(f"{pointer}/input", Source.TOOL_ARGUMENTS, value)
        elif key == "name":
            collector.correlation_id(f"{pointer}/name", Source.TOOL_ARGUMENTS, value)
        else:
            collector.member(pointer, Source.TOOL_ARGUMENTS, key, value, custom)


def read_content(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    """A string, null, or an array of content parts."""
    expected = "a string or an array of content parts"
    collector.text_or_objects(pointer, source, value, _read_part, expected)


def _read_part(
    collector: PartCollector, pointer: str, source: Source, part: dict[str, JSON]
) -> None:
    kind = part.get("type")
    if not isinstance(kind, str):
        wrong_type(f"{pointer}/type", "a string", kind, collector.status)
    read = _BYTES.get(kind)
    if read is None and kind not in _TEXT_KINDS:
        collector.add_opaque(pointer, source, "unknown_part_type")
    for key, value in part.items():
        if key == kind and kind in _TEXT_KINDS:
            collector.text(f"{pointer}/{key}", source, value)
        elif key == kind and read is not None:
            read(collector, pointer, source, value)
        else:
            if key != "type":
                refuse_other_case(pointer, (key,), _PART_FIELDS, collector.status)
            collector.member(pointer, source, key, value, part)
    if kind not in part and (read is not None or kind in _TEXT_KINDS):
        raise ExchangeError(
            "missing_field", f"{pointer}: expected the field its type names", collector.status
        )


_TEXT_KINDS = frozenset({"text", "refusal"})


def _read_image(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    """`image_url`: an object with a URL, or (several vendors) the URL itself."""
    image: JSON = {"url": value} if isinstance(value, str) else value
    members = collector.object(f"{pointer}/image_url", image)
    url = members.get("url")
    if not isinstance(url, str):
        wrong_type(f"{pointer}/image_url/url", "a string", url, collector.status)
    inline = url[:5].lower() == "data:"
    collector.add_opaque(pointer, source, "inline_image" if inline else "remote_image")
    _read_rest(collector, f"{pointer}/image_url", source, members, ("url",))


def _read_input_audio(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    members = collector.object(f"{pointer}/input_audio", value)
    collector.add_opaque(pointer, source, "audio")
    _read_rest(collector, f"{pointer}/input_audio", source, members, ("data",))


def _read_file(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    members = collector.object(f"{pointer}/file", value)
    collector.add_opaque(pointer, source, "file")
    _read_rest(collector, f"{pointer}/file", source, members, ("file_data", "file_id"))


def _read_rest(
    collector: PartCollector,
    pointer: str,
    source: Source,
    members: dict[str, JSON],
    opaque: tuple[str, ...],
) -> None:
    for key, value in members.items():
        if key not in opaque:
            collector.member(pointer, source, key, value, members)
        elif not isinstance(value, str):
            wrong_type(f"{pointer}/{key}", "a string", value, collector.status)


# Content parts whose content is bytes or a reference to them. References are never fetched: that
# would let a client make the gateway call any address.
_BYTES: dict[str, Callable[[PartCollector, str, Source, JSON], None]] = {
    "image_url": _read_image,
    "input_audio": _read_input_audio,
    "file": _read_file,
}
_PART_FIELDS = frozenset({"type", *_TEXT_KINDS, *_BYTES})
