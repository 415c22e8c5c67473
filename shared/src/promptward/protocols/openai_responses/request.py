"""A Responses API request: every field to its texts.

Source: OpenAI API reference, "Create a model response".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.protocols.base import RequestLimits
from promptward.protocols.collect import refuse_other_case, wrong_type
from promptward.protocols.fields import FieldReader
from promptward.protocols.openai_responses.items import read_items


class _Fields(FieldReader):
    """The fields only this protocol has."""

    __slots__ = ()

    def input(self, key: str, value: JSON) -> None:
        if isinstance(value, list) and len(value) > self.limits.max_messages:
            raise ExchangeError(
                "too_many_messages",
                f"/{key}: expected at most {self.limits.max_messages} items",
                413,
            )
        read_items(self.collector, f"/{key}", Source.USER, value)

    def instructions(self, key: str, value: JSON) -> None:
        self.collector.text(f"/{key}", Source.SYSTEM, value)

    def stored(self, key: str, value: JSON) -> None:
        """Earlier turns that the provider keeps."""
        if value is None:
            return
        self.collector.add_opaque(f"/{key}", Source.USER, "stored_conversation")
        if isinstance(value, dict):
            self.collector.walk(f"/{key}", Source.USER, value)
        else:
            self.collector.correlation_id(f"/{key}", Source.USER, value)

    def prompt(self, key: str, value: JSON) -> None:
        """A prompt that the provider keeps, and the values of its variables."""
        if value is None:
            return
        prompt = self.collector.object(f"/{key}", value)
        self.collector.add_opaque(f"/{key}", Source.USER, "stored_prompt")
        self.collector.walk(f"/{key}", Source.USER, prompt)

    def background(self, key: str, value: JSON) -> None:
        """An answer fetched later, by a request that no check of this one sees."""
        self.boolean(key, value)
        if value is True:
            self.collector.add_opaque(f"/{key}", Source.ASSISTANT, "background_response")

    def tool_list(self, key: str, value: JSON) -> None:
        for pointer, tool in self.collector.objects(f"/{key}", value):
            self.collector.walk(pointer, Source.TOOL_DEFINITION, tool)
            self.tools.update(dict.fromkeys(_tool_names(pointer, tool)))

    def tool_choice(self, key: str, value: JSON) -> None:
        if not isinstance(value, dict):
            if value is not None and not isinstance(value, str):
                wrong_type(f"/{key}", "a string or an object", value)
            self.collector.word(f"/{key}", Source.TOOL_DEFINITION, value)
            return
        self.collector.walk(f"/{key}", Source.TOOL_DEFINITION, value)
        self.tools.update(dict.fromkeys(self._chosen(f"/{key}", value)))

    def _chosen(self, pointer: str, choice: dict[str, JSON]) -> Iterator[str]:
        if choice.get("type") != "allowed_tools":
            yield from _tool_names(pointer, choice)
            return
        for at, tool in self.collector.objects(f"{pointer}/tools", choice.get("tools")):
            yield from _tool_names(at, tool)


_NAMING = ("type", "name", "server_label")


def _tool_names(pointer: str, tool: dict[str, JSON]) -> list[str]:
    """The names by which rules know a tool.

    What the client runs itself goes by its name. What the provider runs goes by its type, and by
    its name and its MCP server's label too: the client chooses those, so they must not stand for
    the type.
    """
    refuse_other_case(pointer, tool, _NAMING)
    names: list[str] = []
    for key in _NAMING:
        name = tool.get(key)
        if isinstance(name, str):
            names.append(name)
        elif name is not None:
            wrong_type(f"{pointer}/{key}", "a string", name)
    if not names:
        raise ExchangeError("missing_field", f"{pointer}/type: expected the kind of the tool")
    if isinstance(tool.get("name"), str) and tool.get("type", "function") in _CLIENT_RUN:
        return [str(tool["name"])]
    return names


_CLIENT_RUN = frozenset({"function", "custom"})


_FIELDS: dict[str, Callable[[_Fields, str, JSON], None]] = {
    "model": _Fields.model,
    "input": _Fields.input,
    "instructions": _Fields.instructions,
    "background": _Fields.background,
    "conversation": _Fields.stored,
    "include": _Fields.words,
    "max_output_tokens": _Fields.integer,
    "max_tool_calls": _Fields.integer,
    "metadata": _Fields.object,
    "parallel_tool_calls": _Fields.boolean,
    "previous_response_id": _Fields.stored,
    "prompt": _Fields.prompt,
    "prompt_cache_key": _Fields.text,
    "prompt_cache_retention": _Fields.word,
    "reasoning": _Fields.object,
    "safety_identifier": _Fields.text,
    "service_tier": _Fields.word,
    "store": _Fields.boolean,
    "stream": _Fields.boolean,
    "stream_options": _Fields.object,
    "temperature": _Fields.number,
    "text": _Fields.schema,
    "tool_choice": _Fields.tool_choice,
    "tools": _Fields.tool_list,
    "top_logprobs": _Fields.integer,
    "top_p": _Fields.number,
    "truncation": _Fields.word,
    "user": _Fields.text,
}


def read_fields(document: dict[str, JSON], limits: RequestLimits) -> FieldReader:
    """Read every field of a request body.

    Raises:
        ExchangeError: one has the wrong type, or one that is needed is missing.
    """
    fields = _Fields(limits)
    fields.read(document, _FIELDS)
    if document.get("input") is None and document.get("prompt") is None:
        raise ExchangeError("missing_field", "/input: expected a string or an array of items")
    return fields
