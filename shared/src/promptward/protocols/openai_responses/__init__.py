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
from promptward.llm import LlmResponse
from promptward.protocols.base import ROUTE_PREFIX, RequestLimits, StreamCodec, sse_event
from promptward.protocols.fields import FieldReader
from promptward.protocols.openai_errors import openai_error
from promptward.protocols.openai_responses.request import read_fields
from promptward.protocols.openai_responses.response import read_response, write_response
from promptward.protocols.openai_responses.stream import ResponsesStreamCodec
from promptward.protocols.single_answer import SingleAnswerProtocol


class OpenAiResponses(SingleAnswerProtocol):
    """`openai.responses`."""

    name = "openai.responses"
    route = re.compile(ROUTE_PREFIX + r"/responses")
    cap_field = "max_output_tokens"

    def read_fields(self, document: dict[str, JSON], limits: RequestLimits) -> FieldReader:
        return read_fields(document, limits)

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
