"""Content blocks of Anthropic messages, in requests, tool results and responses alike.

Source: Anthropic API reference, "Messages": text, image, document, search_result, thinking,
redacted_thinking, tool_use, tool_result, and the blocks of server and MCP tools, whose names end
in `_tool_use` and `_tool_result`.
"""

from __future__ import annotations

from promptward.exchange import JSON, Source
from promptward.protocols.collect import PartCollector, Row, wrong_type


def read_content(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    """A string, null, or an array of blocks."""
    expected = "a string or an array of content blocks"
    collector.text_or_objects(pointer, source, value, read_block, expected)


def read_block(
    collector: PartCollector, pointer: str, source: Source, block: dict[str, JSON]
) -> None:
    """One block.

    Raises:
        ExchangeError: it has no type, or a member of the wrong type.
    """
    kind = block.get("type")
    if not isinstance(kind, str):
        wrong_type(f"{pointer}/type", "a string", kind, collector.status)
    rows = _BLOCKS.get(kind)
    if rows is None and kind.endswith("_tool_use"):
        rows = _BLOCKS["tool_use"]
    elif rows is None and kind.endswith("_tool_result"):
        rows = _SERVER_RESULT
    elif rows is None:
        collector.add_opaque(pointer, source, "unknown_part_type")
        rows = _LINKS
    if rows in (_RESULT, _SERVER_RESULT):
        source = Source.TOOL_RESULT
    collector.members(pointer, source, block, rows)


def _text(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    if not isinstance(value, str):
        wrong_type(pointer, "a string", value, collector.status)
    collector.add(pointer, source, value)


def _citations(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    """Quotations (an array), or whether there shall be some (an object)."""
    if isinstance(value, list):
        for at, citation in collector.objects(pointer, value):
            collector.members(at, source, citation, _LINKS)
    else:
        collector.walk(pointer, source, value)


def _image_source(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    members = collector.object(pointer, value)
    inline = members.get("type") == "base64"
    block = pointer.rpartition("/")[0]
    collector.add_opaque(block, source, "inline_image" if inline else "remote_image")
    _read_rest(collector, pointer, source, members)


def _document_source(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    members = collector.object(pointer, value)
    kind = members.get("type")
    if kind == "content":
        collector.members(pointer, source, members, {**_LINKS, "content": read_content})
    elif kind == "text":
        collector.members(pointer, source, members, {**_LINKS, "data": _text})
    else:
        collector.add_opaque(pointer.rpartition("/")[0], source, "file")
        _read_rest(collector, pointer, source, members)


def _read_rest(
    collector: PartCollector, pointer: str, source: Source, members: dict[str, JSON]
) -> None:
    """What stands beside the bytes of an image or a file, or the reference to them."""
    for key, value in members.items():
        if key == "media_type":
            collector.correlation_id(f"{pointer}/{key}", source, value)
        elif key not in ("data", "url", "file_id"):
            collector.member(pointer, source, key, value, members)
        elif not isinstance(value, str):
            wrong_type(f"{pointer}/{key}", "a string", value, collector.status)


def _document(row: Row) -> Row:
    """`row`, reading as a retrieved document whoever passed it on."""

    def read(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
        kept = source if source is Source.TOOL_RESULT else Source.DOCUMENT
        row(collector, pointer, kept, value)

    return read


def _arguments(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    del source
    collector.arguments(pointer, value)


def _server_result(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    """What a tool of the provider's found: an array of objects, or an object that says why not."""
    if isinstance(value, list):
        for at, item in collector.objects(pointer, value):
            collector.members(at, source, item, _LINKS)
    elif isinstance(value, dict):
        collector.members(pointer, source, value, _LINKS)
    else:
        collector.text(pointer, source, value)


def _uploaded(collector: PartCollector, pointer: str, source: Source, value: JSON) -> None:
    collector.add_opaque(pointer.rpartition("/")[0], source, "file")
    collector.correlation_id(pointer, source, value)


# What any block and any object in one may carry: ids, and what only the provider can read.
_LINKS: dict[str, Row] = {
    **dict.fromkeys(("id", "tool_use_id", "file_id"), PartCollector.correlation_id),
    **dict.fromkeys(("signature", "encrypted_content", "encrypted_index"), PartCollector.sealed),
}
_RESULT: dict[str, Row] = {**_LINKS, "content": read_content}
_SERVER_RESULT: dict[str, Row] = {**_LINKS, "content": _server_result}
_BLOCKS: dict[str, dict[str, Row]] = {
    "text": {**_LINKS, "text": _text, "citations": _citations},
    "image": {**_LINKS, "source": _image_source},
    "document": {
        **_LINKS,
        "source": _document(_document_source),
        "title": _document(PartCollector.text),
        "context": _document(PartCollector.text),
    },
    "search_result": {
        **_LINKS,
        "source": _document(_text),
        "title": _document(_text),
        "content": _document(read_content),
    },
    "thinking": {**_LINKS, "thinking": _text},
    "redacted_thinking": {**_LINKS, "data": PartCollector.sealed},
    "tool_use": {**_LINKS, "input": _arguments, "name": PartCollector.correlation_id},
    "tool_result": _RESULT,
    "mcp_tool_result": _RESULT,
    "container_upload": {**_LINKS, "file_id": _uploaded},
}
