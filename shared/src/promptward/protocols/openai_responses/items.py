"""Items of the Responses API: messages, calls, results, reasoning; as input and as output.

Source: OpenAI API reference, "Create a model response", `input` and `output` item types. Items and
content parts are read by tables; a type that is in none is opaque, and its strings are read.
"""

from __future__ import annotations

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.protocols.collect import PartCollector, Row, wrong_type
from promptward.protocols.openai_chat.logprobs import repeats

ROLES = {
    "system": Source.SYSTEM,
    "developer": Source.DEVELOPER,
    "user": Source.USER,
    "assistant": Source.ASSISTANT,
}


def read_items(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    """A string, null, or an array of items.

    Args:
        source: of a bare string and of items that do not say who wrote them.
    """
    collector.text_or_objects(pointer, source, value, read_item, "a string or an array of items")


def read_item(
    collector: PartCollector, pointer: str, source: Source, item: dict[str, JSON]
) -> None:
    """One item.

    Raises:
        ExchangeError: it has neither type nor role, or a member of the wrong type.
    """
    kind = item.get("type", "message" if "role" in item else None)
    if not isinstance(kind, str):
        wrong_type(f"{pointer}/type", "a string", kind, collector.status)
    if kind == "message":
        source = _message_source(collector, pointer, item)
    known = _ITEMS.get(kind)
    if kind == "item_reference":
        collector.add_opaque(pointer, source, "stored_conversation")
    elif known is None:
        if not kind.endswith(("_call", "_call_output")):
            collector.add_opaque(pointer, source, "unknown_part_type")
        written = Source.TOOL_RESULT if kind.endswith("_output") else Source.TOOL_ARGUMENTS
        known = (written if kind.endswith(("_call", "_call_output")) else source, _LINKS)
    written_by, rows = known or (None, _LINKS)
    collector.members(pointer, written_by or source, item, rows)


def _message_source(collector: PartCollector, pointer: str, item: dict[str, JSON]) -> Source:
    role = item.get("role")
    if not isinstance(role, str):
        wrong_type(f"{pointer}/role", "a string", role, collector.status)
    source = ROLES.get(role)
    if source is None:
        raise ExchangeError(
            "invalid_value",
            f"{pointer}/role: expected one of {', '.join(ROLES)}",
            collector.status,
        )
    return source


def read_content(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    """A string, null, or an array of content parts."""
    expected = "a string or an array of content parts"
    collector.text_or_objects(pointer, source, value, read_part, expected)


def read_part(
    collector: PartCollector, pointer: str, source: Source, part: dict[str, JSON]
) -> None:
    """One content part."""
    kind = part.get("type")
    if not isinstance(kind, str):
        wrong_type(f"{pointer}/type", "a string", kind, collector.status)
    if kind in _TEXT_PARTS:
        collector.members(pointer, source, part, _TEXT_ROWS)
        if not repeats({"content": part.get("logprobs")}, part.get("text"), None):
            collector.add_opaque(f"{pointer}/logprobs", source, "logprobs")
        return
    reason = _reason(kind, part)
    if reason:
        collector.add_opaque(pointer, source, reason)
    rows = _BYTES_ROWS if kind in _BYTES else _OTHER_ROWS
    collector.members(pointer, source, part, rows)


def _reason(kind: str, part: dict[str, JSON]) -> str:
    if kind in ("input_image", "computer_screenshot"):
        url = part.get("image_url")
        inline = isinstance(url, str) and url[:5].lower() == "data:"
        return "inline_image" if inline else "remote_image"
    return "" if kind == "refusal" else _BYTES.get(kind, "unknown_part_type")


def _required(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    if not isinstance(value, str):
        wrong_type(pointer, "a string", value, collector.status)
    collector.add(pointer, source, value)


def _arguments(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    del source
    collector.text(pointer, Source.TOOL_ARGUMENTS, value, json_escaped=True)


def _result(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    """What a tool returned: a string, content parts, or one part such as a screenshot."""
    del source
    if isinstance(value, dict):
        read_part(collector, pointer, Source.TOOL_RESULT, value)
    else:
        read_content(collector, pointer, Source.TOOL_RESULT, value)


def _walk_result(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    del source
    collector.walk(pointer, Source.TOOL_RESULT, value)


def _image(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    """A generated image in base64, null while it is being made."""
    if value is not None:
        _required(PartCollector(1, collector.status), pointer, source, value)
        collector.add_opaque(pointer, source, "inline_image")


def _reference(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    """Bytes or where they are; the part itself is opaque. Never fetched."""
    del source
    if value is not None and not isinstance(value, (str, dict)):
        wrong_type(pointer, "a string", value, collector.status)


def _ignored(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    """Log probabilities: `read_part` judges them with the text beside them."""
    del collector, pointer, source, value


# What any item and part may carry: ids, and what only the provider can read.
_LINKS: dict[str, Row] = {
    **dict.fromkeys(
        ("id", "call_id", "item_id", "file_id", "container_id", "approval_request_id", "name"),
        PartCollector.correlation_id,
    ),
    "encrypted_content": PartCollector.sealed,
}
_TEXT_PARTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})
_TEXT_ROWS: dict[str, Row] = {**_LINKS, "text": _required, "logprobs": _ignored}
_BYTES = {
    "input_image": "remote_image",
    "computer_screenshot": "remote_image",
    "input_file": "file",
    "input_audio": "audio",
    "output_audio": "audio",
}
_OTHER_ROWS: dict[str, Row] = {**_LINKS, "refusal": _required}
_BYTES_ROWS: dict[str, Row] = {
    **_OTHER_ROWS,
    **dict.fromkeys(
        ("image_url", "file_data", "file_url", "file_id", "input_audio", "data"), _reference
    ),
}
_CONTENT: dict[str, Row] = {**_LINKS, "content": read_content}
_TOOL = Source.TOOL_ARGUMENTS
# Item type -> who wrote it (None: the item or the place says), and its rows.
_ITEMS: dict[str, tuple[Source | None, dict[str, Row]]] = {
    "message": (None, _CONTENT),
    "reasoning": (Source.ASSISTANT, {**_CONTENT, "summary": read_content}),
    "compaction": (Source.ASSISTANT, _LINKS),
    "function_call": (_TOOL, {**_LINKS, "arguments": _arguments}),
    "function_call_output": (Source.TOOL_RESULT, {**_LINKS, "output": _result}),
    "custom_tool_call": (_TOOL, {**_LINKS, "input": PartCollector.text}),
    "custom_tool_call_output": (Source.TOOL_RESULT, {**_LINKS, "output": _result}),
    "computer_call_output": (Source.TOOL_RESULT, {**_LINKS, "output": _result}),
    "mcp_call": (_TOOL, {**_LINKS, "arguments": _arguments, "output": _result}),
    "mcp_approval_request": (_TOOL, {**_LINKS, "arguments": _arguments}),
    "mcp_approval_response": (Source.USER, _LINKS),
    "mcp_list_tools": (Source.TOOL_DEFINITION, _LINKS),
    "file_search_call": (_TOOL, {**_LINKS, "results": _walk_result}),
    "code_interpreter_call": (_TOOL, {**_LINKS, "outputs": _walk_result}),
    "image_generation_call": (_TOOL, {**_LINKS, "result": _image}),
}
