"""An Anthropic messages request: every field to its texts.

Source: Anthropic API reference, "Create a Message". `max_tokens` is required there; where it is
missing the upstream refuses, not we.
"""

from __future__ import annotations

from collections.abc import Callable

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.protocols.anthropic_messages.blocks import read_content
from promptward.protocols.base import RequestLimits
from promptward.protocols.collect import refuse_other_case, wrong_type
from promptward.protocols.fields import FieldReader

_ROLES = {"user": Source.USER, "assistant": Source.ASSISTANT, "system": Source.SYSTEM}


class _Fields(FieldReader):
    """The fields only this protocol has."""

    __slots__ = ()

    def messages(self, key: str, value: JSON) -> None:
        if not isinstance(value, list):
            wrong_type(f"/{key}", "an array", value)
        if not value:
            raise ExchangeError("invalid_value", f"/{key}: expected at least one message")
        if len(value) > self.limits.max_messages:
            raise ExchangeError(
                "too_many_messages",
                f"/{key}: expected at most {self.limits.max_messages} messages",
                413,
            )
        for pointer, message in self.collector.objects(f"/{key}", value):
            self._message(pointer, message)

    def _message(self, pointer: str, message: dict[str, JSON]) -> None:
        role = message.get("role")
        if not isinstance(role, str):
            wrong_type(f"{pointer}/role", "a string", role)
        source = _ROLES.get(role)
        if source is None:
            raise ExchangeError("invalid_value", f"{pointer}/role: expected user or assistant")
        if message.get("content") is None:
            raise ExchangeError("missing_field", f"{pointer}/content: expected the content")
        for key, value in message.items():
            if key == "content":
                read_content(self.collector, f"{pointer}/content", source, value)
            elif key != "role":
                refuse_other_case(pointer, (key,), ("role", "content"))
                self.collector.member(pointer, source, key, value, message)

    def system(self, key: str, value: JSON) -> None:
        read_content(self.collector, f"/{key}", Source.SYSTEM, value)

    def tool_list(self, key: str, value: JSON) -> None:
        for pointer, tool in self.collector.objects(f"/{key}", value):
            self.collector.walk(pointer, Source.TOOL_DEFINITION, tool)
            refuse_other_case(pointer, tool, _NAMING)
            name = tool.get("name", tool.get("mcp_server_name", tool.get("type")))
            if not isinstance(name, str):
                wrong_type(f"{pointer}/name", "a string", name)
            self.tools[name] = None

    def servers(self, key: str, value: JSON) -> None:
        """MCP servers offer tools whose names only the provider learns: the server's stands in.

        The client chooses that and the address, so the provider's calling out is a tool by itself,
        under the name that it has in the Responses API.
        """
        for pointer, server in self.collector.objects(f"/{key}", value):
            self.collector.walk(pointer, Source.TOOL_DEFINITION, server)
            refuse_other_case(pointer, server, _NAMING)
            self.tools["mcp"] = None
            name = server.get("name")
            if not isinstance(name, str):
                wrong_type(f"{pointer}/name", "a string", name)
            self.tools[name] = None

    def tool_choice(self, key: str, value: JSON) -> None:
        if value is None:
            return
        choice = self.collector.object(f"/{key}", value)
        self.collector.walk(f"/{key}", Source.TOOL_DEFINITION, choice)
        name = choice.get("name")
        if isinstance(name, str):
            self.tools[name] = None
        elif name is not None:
            wrong_type(f"/{key}/name", "a string", name)


_NAMING = ("type", "name", "mcp_server_name")
_FIELDS: dict[str, Callable[[_Fields, str, JSON], None]] = {
    "model": _Fields.model,
    "messages": _Fields.messages,
    "system": _Fields.system,
    "max_tokens": _Fields.integer,
    "mcp_servers": _Fields.servers,
    "metadata": _Fields.object,
    "service_tier": _Fields.word,
    "stop_sequences": _Fields.texts,
    "stream": _Fields.boolean,
    "temperature": _Fields.number,
    "thinking": _Fields.object,
    "tool_choice": _Fields.tool_choice,
    "tools": _Fields.tool_list,
    "top_k": _Fields.integer,
    "top_p": _Fields.number,
    "output_format": _Fields.schema,
    "output_config": _Fields.schema,
}


def read_fields(document: dict[str, JSON], limits: RequestLimits) -> FieldReader:
    """Read every field of a request body.

    Raises:
        ExchangeError: one has the wrong type, or one that is needed is missing.
    """
    fields = _Fields(limits)
    fields.read(document, _FIELDS)
    if "messages" not in document:
        raise ExchangeError("missing_field", "/messages: expected an array of messages")
    return fields
