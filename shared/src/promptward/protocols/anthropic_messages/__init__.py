"""Anthropic messages, whole and streamed.

Source: Anthropic API reference, "Messages" (create, streaming, errors). Selected by path only:
whatever ends in `/v1/messages`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from promptward.exchange import JSON
from promptward.jsonstrict import dumps_canonical
from promptward.llm import LlmRequest, LlmResponse
from promptward.protocols.anthropic_messages.request import read_request, write_request
from promptward.protocols.anthropic_messages.response import read_response, write_response
from promptward.protocols.anthropic_messages.stream import MessagesStreamCodec
from promptward.protocols.base import (
    DEFAULT_REQUEST_LIMITS,
    RequestLimits,
    StreamCodec,
    sse_event,
)

# A prefix segment begins with a letter or digit: no dot segments, nothing percent-encoded.
_ROUTE = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._~-]{0,63}){0,8}?/v1/messages")

# Our category -> Anthropic's error type (API reference, "Errors"); 413 has a type of its own.
_TYPES = {
    "parse": "invalid_request_error",
    "authentication": "authentication_error",
    "authorization": "permission_error",
    "budget": "rate_limit_error",
    "content": "invalid_request_error",
    "unavailable": "api_error",
}


class AnthropicMessages:
    """`anthropic.messages`."""

    name = "anthropic.messages"

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and _ROUTE.fullmatch(path.partition("?")[0]) is not None

    def parse_request(
        self, document: JSON, limits: RequestLimits = DEFAULT_REQUEST_LIMITS, path: str = ""
    ) -> LlmRequest:
        del path  # the model is always in the body
        return read_request(self.name, document, limits)

    def rewrite_request(
        self,
        request: LlmRequest,
        edits: Mapping[str, str],
        *,
        inject_usage: bool = False,
        max_output_tokens: int | None = None,
    ) -> bytes | None:
        del inject_usage  # every stream reports its usage
        return write_request(request, edits, max_output_tokens)

    def parse_response(self, document: JSON) -> LlmResponse:
        return read_response(document)

    def rewrite_response(self, response: LlmResponse, edits: Mapping[str, str]) -> bytes | None:
        return write_response(response, edits)

    def error_body(self, status: int, code: str, category: str, message: str) -> bytes:
        kind = "request_too_large" if status == 413 else _TYPES.get(category, "api_error")
        return dumps_canonical(
            {"type": "error", "error": {"type": kind, "message": message, "code": code}}
        )

    def stream_error(self, status: int, code: str, category: str, message: str) -> bytes:
        return sse_event(self.error_body(status, code, category, message), "error")

    def open_stream(self, *, drop_usage: bool) -> StreamCodec:
        del drop_usage  # nothing is ever injected
        return MessagesStreamCodec()
