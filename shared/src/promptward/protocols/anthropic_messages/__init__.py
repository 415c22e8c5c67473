"""Anthropic messages, whole and streamed.

Source: Anthropic API reference, "Messages" (create, streaming, errors). Selected by path only:
whatever ends in `/v1/messages`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from promptward.exchange import JSON
from promptward.jsonstrict import dumps_canonical
from promptward.llm import LlmResponse
from promptward.protocols.anthropic_messages.request import read_fields
from promptward.protocols.anthropic_messages.response import read_response, write_response
from promptward.protocols.anthropic_messages.stream import MessagesStreamCodec
from promptward.protocols.base import ROUTE_PREFIX, RequestLimits, StreamCodec, sse_event
from promptward.protocols.fields import FieldReader
from promptward.protocols.single_answer import SingleAnswerProtocol

# Our category -> Anthropic's error type (API reference, "Errors"); 413 has a type of its own.
_TYPES = {
    "parse": "invalid_request_error",
    "authentication": "authentication_error",
    "authorization": "permission_error",
    "budget": "rate_limit_error",
    "content": "invalid_request_error",
    "unavailable": "api_error",
}


class AnthropicMessages(SingleAnswerProtocol):
    """`anthropic.messages`."""

    name = "anthropic.messages"
    route = re.compile(ROUTE_PREFIX + r"/v1/messages")
    cap_field = "max_tokens"

    def read_fields(self, document: dict[str, JSON], limits: RequestLimits) -> FieldReader:
        return read_fields(document, limits)

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
