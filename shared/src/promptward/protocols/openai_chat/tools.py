"""Tool definitions and tool choice of an OpenAI chat request.

Definitions are their own source: a schema is not something the user said. Source: OpenAI API
reference, "Create chat completion", `tools`, `tool_choice`, and the legacy `functions`,
`function_call`.
"""

from __future__ import annotations

from collections.abc import Iterator

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.protocols.collect import PartCollector, refuse_other_case, wrong_type

_KINDS = ("function", "custom")
_NAMING = frozenset({"type", "name", *_KINDS})


def read_tools(collector: PartCollector, pointer: str, value: JSON) -> list[str]:
    """Read `tools` or `functions`; returns the names offered.

    Raises:
        ExchangeError: wrong types, or a definition without a name.
    """
    names: list[str] = []
    for at, tool in collector.objects(pointer, value):
        collector.walk(at, Source.TOOL_DEFINITION, tool)
        names += _names(at, tool, legacy=pointer == "/functions")
    return names


def _names(pointer: str, tool: dict[str, JSON], legacy: bool) -> Iterator[str]:
    """The names by which rules know a tool.

    One that the vendor runs goes by its type, and by its name too where it has one: the client
    chooses that, so it must not stand for the type.
    """
    refuse_other_case(pointer, tool, _NAMING)
    if legacy:
        yield _string(f"{pointer}/name", tool.get("name"))
        return
    kind = _string(f"{pointer}/type", tool.get("type"))
    if kind in _KINDS:
        definition = tool.get(kind)
        if not isinstance(definition, dict):
            wrong_type(f"{pointer}/{kind}", "an object", definition)
        refuse_other_case(f"{pointer}/{kind}", definition, _NAMING)
        yield _string(f"{pointer}/{kind}/name", definition.get("name"))
        return
    yield kind
    name = tool.get("name")
    if isinstance(name, str):
        yield name


def _string(pointer: str, value: JSON) -> str:
    if not isinstance(value, str):
        wrong_type(pointer, "a string", value)
    return value


def read_choice(collector: PartCollector, pointer: str, value: JSON) -> list[str]:
    """Read `tool_choice` or `function_call`; returns the names it forces or allows.

    Raises:
        ExchangeError: wrong types.
    """
    if isinstance(value, dict):
        collector.walk(pointer, Source.TOOL_DEFINITION, value)
        return list(_names_in(pointer, value))
    if value is not None and not isinstance(value, str):
        wrong_type(pointer, "a string or an object", value)
    collector.word(pointer, Source.TOOL_DEFINITION, value)
    return []


def _names_in(pointer: str, choice: dict[str, JSON]) -> Iterator[str]:
    """Every name in a choice: `{name}`, `{function: {name}}`, `{allowed_tools: {tools: [...]}}`."""
    name = choice.get("name")
    if isinstance(name, str):
        yield name
    elif name is not None:
        wrong_type(f"{pointer}/name", "a string", name)
    for key in (*_KINDS, "allowed_tools"):
        inner = choice.get(key)
        if isinstance(inner, dict):
            yield from _names_in(f"{pointer}/{key}", inner)
        elif inner is not None:
            wrong_type(f"{pointer}/{key}", "an object", inner)
    tools = choice.get("tools")
    if tools is None:
        return
    if not isinstance(tools, list):
        wrong_type(f"{pointer}/tools", "an array", tools)
    if len(tools) > 1024:
        raise ExchangeError("invalid_value", f"{pointer}/tools: expected at most 1024 tools")
    for index, tool in enumerate(tools):
        if not isinstance(tool, dict):
            wrong_type(f"{pointer}/tools/{index}", "an object", tool)
        yield from _names_in(f"{pointer}/tools/{index}", tool)
