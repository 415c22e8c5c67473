"""OpenAI responses, whole and streamed.

Source: OpenAI API reference, "Responses" (create, object, streaming events). Selected by path only:
whatever ends in `/responses`. State that the provider keeps (`previous_response_id`,
`conversation`, a stored prompt) is not in the body: it is an opaque part, never assumed clean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from promptward.exchange import JSON
from promptward.jsonstrict import dumps_canonical
from promptward.llm import LlmRequest, LlmResponse
from promptward.protocols.base import (
    DEFAULT_REQUEST_LIMITS,
    RequestLimits,
    StreamCodec,
    sse_event,
)
from promptward.protocols.openai_errors import openai_error
from promptward.protocols.openai_responses.request import read_request, write_request
from promptward.protocols.openai_responses.response import read_response, write_response
from promptward.protocols.openai_responses.stream import ResponsesStreamCodec

# A prefix segment begins with a letter or digit: no dot segments, nothing percent-encoded.
_ROUTE = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._~-]{0,63}){0,8}?/responses")


class OpenAiResponses:
    """`openai.responses`."""

    name = "openai.responses"

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
        del status  # OpenAI's error object does not repeat it
        return openai_error(code, category, message)

    def stream_error(self, status: int, code: str, category: str, message: str) -> bytes:
        del status, category
        document: JSON = {
            "type": "error",
            "code": code,
            "message": message,
            "param": None,
            "sequence_number": 0,  # required by clients' schemas; nothing follows it
        }
        return sse_event(dumps_canonical(document), "error")

    def open_stream(self, *, drop_usage: bool) -> StreamCodec:
        del drop_usage  # nothing is ever injected
        return ResponsesStreamCodec()
