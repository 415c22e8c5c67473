"""OpenAI chat completions, whole and streamed.

Source: OpenAI API reference, "Chat" (create, object, streaming); Azure's route for the same API.
Selected by path only: whatever ends in `/chat/completions`; an Azure deployment or an engine there
names the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from promptward.exchange import JSON
from promptward.llm import LlmRequest, LlmResponse
from promptward.protocols.base import (
    DEFAULT_REQUEST_LIMITS,
    ROUTE_PREFIX,
    RequestLimits,
    StreamCodec,
    sse_event,
)
from promptward.protocols.openai_chat.request import read_request, write_request
from promptward.protocols.openai_chat.response import read_response, write_response
from promptward.protocols.openai_chat.stream import ChatStreamCodec
from promptward.protocols.openai_errors import openai_error

# Azure names the deployment in one segment, in any case of the route; LiteLLM takes the model from
# several, and from `/engines` too. What they find there overrules the body.
_ROUTE = re.compile(
    ROUTE_PREFIX
    + r"(?:(?i:/openai/deployments|/engines)/"
    + r"([A-Za-z0-9][A-Za-z0-9._~-]{0,127}(?:/[A-Za-z0-9][A-Za-z0-9._~-]{0,127}){0,7}))?"
    + r"/chat/completions"
)


class OpenAiChat:
    """`openai.chat`."""

    name = "openai.chat"

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and _ROUTE.fullmatch(path.partition("?")[0]) is not None

    def parse_request(
        self, document: JSON, limits: RequestLimits = DEFAULT_REQUEST_LIMITS, path: str = ""
    ) -> LlmRequest:
        route = _ROUTE.fullmatch(path.partition("?")[0])
        deployment = route[1] if route is not None else None
        return read_request(self.name, document, deployment, limits)

    def rewrite_request(
        self,
        request: LlmRequest,
        edits: Mapping[str, str],
        *,
        inject_usage: bool = False,
        max_output_tokens: int | None = None,
    ) -> bytes | None:
        return write_request(request, edits, inject_usage, max_output_tokens)

    def parse_response(self, document: JSON) -> LlmResponse:
        return read_response(document)

    def rewrite_response(self, response: LlmResponse, edits: Mapping[str, str]) -> bytes | None:
        return write_response(response, edits)

    def error_body(self, status: int, code: str, category: str, message: str) -> bytes:
        del status  # OpenAI's error object does not repeat it
        return openai_error(code, category, message)

    def stream_error(self, status: int, code: str, category: str, message: str) -> bytes:
        return sse_event(self.error_body(status, code, category, message)) + sse_event(b"[DONE]")

    def open_stream(self, *, drop_usage: bool) -> StreamCodec:
        return ChatStreamCodec(drop_usage)
