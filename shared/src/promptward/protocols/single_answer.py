"""Protocols whose body names the model, that give one answer, and whose streams report their usage.

Anthropic messages and OpenAI responses are alike in this; chat completions are not.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping

from promptward.exchange import JSON
from promptward.jsonstrict import dumps_canonical
from promptward.llm import LlmRequest
from promptward.protocols.base import DEFAULT_REQUEST_LIMITS, RequestLimits
from promptward.protocols.collect import wrong_type
from promptward.protocols.edits import apply_edits
from promptward.protocols.fields import FieldReader, model_name, positive


class SingleAnswerProtocol(ABC):
    """The request side of `ChatProtocol`.

    Attributes:
        name: as in `ChatProtocol`.
        route: matches the whole path, without query.
        cap_field: the field that bounds the output tokens.
    """

    name: str
    route: re.Pattern[str]
    cap_field: str

    @abstractmethod
    def read_fields(self, document: dict[str, JSON], limits: RequestLimits) -> FieldReader:
        """Read every field of a request.

        Raises:
            ExchangeError: one has the wrong type, or one that is needed is missing.
        """

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and self.route.fullmatch(path.partition("?")[0]) is not None

    def parse_request(
        self, document: JSON, limits: RequestLimits = DEFAULT_REQUEST_LIMITS, path: str = ""
    ) -> LlmRequest:
        del path  # the model is always in the body
        if not isinstance(document, dict):
            wrong_type("", "an object", document)
        fields = self.read_fields(document, limits)
        return LlmRequest(
            protocol=self.name,
            model=model_name(document),
            parts=tuple(fields.collector.parts),
            opaque=tuple(fields.collector.opaque),
            tools=tuple(fields.tools),
            max_output_tokens=positive(document, self.cap_field),
            choices=1,
            stream=document.get("stream") is True,
            wants_usage=True,  # every stream reports it
            document=document,
        )

    def rewrite_request(
        self,
        request: LlmRequest,
        edits: Mapping[str, str],
        *,
        inject_usage: bool = False,
        max_output_tokens: int | None = None,
    ) -> bytes | None:
        del inject_usage  # nothing has to ask for it
        document = apply_edits(request.document, edits)
        changed = bool(edits)
        if max_output_tokens is not None and (
            request.max_output_tokens is None or request.max_output_tokens > max_output_tokens
        ):
            document[self.cap_field] = max_output_tokens
            changed = True
        return dumps_canonical(document) if changed else None
