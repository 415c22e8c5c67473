"""Wire protocols of LLM APIs; `PROTOCOLS` is the one registry that policies and the engine use.

A protocol that is not in here is refused by the policy's own validation. Adding one: a module that
implements `ChatProtocol`, a line below, its mirrored tests and conformance vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from promptward.protocols.anthropic_messages import AnthropicMessages
from promptward.protocols.base import (
    DEFAULT_REQUEST_LIMITS,
    Channel,
    ChatProtocol,
    Delta,
    RequestLimits,
    StreamCodec,
    StreamEvent,
)
from promptward.protocols.neutral import NEUTRAL
from promptward.protocols.openai_chat import OpenAiChat
from promptward.protocols.openai_responses import OpenAiResponses

Protocol = ChatProtocol

PROTOCOLS: Mapping[str, ChatProtocol] = MappingProxyType(
    {protocol.name: protocol for protocol in (OpenAiChat(), OpenAiResponses(), AnthropicMessages())}
)


def protocol_for(
    method: str, path: str, among: Iterable[ChatProtocol] = tuple(PROTOCOLS.values())
) -> ChatProtocol | None:
    """The protocol spoken at this route, or None.

    Args:
        method: upper-case HTTP method.
        path: with or without query.
        among: the protocols to choose from.
    """
    for protocol in among:
        if protocol.matches(method, path):
            return protocol
    return None


__all__ = [
    "DEFAULT_REQUEST_LIMITS",
    "NEUTRAL",
    "PROTOCOLS",
    "Channel",
    "ChatProtocol",
    "Delta",
    "Protocol",
    "RequestLimits",
    "StreamCodec",
    "StreamEvent",
    "protocol_for",
]
