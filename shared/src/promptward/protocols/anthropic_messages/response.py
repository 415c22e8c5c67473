"""A whole Anthropic message: document to neutral view, edits back into the document.

Source: Anthropic API reference, "Messages" (response, `usage`) and "Errors".
"""

from __future__ import annotations

from collections.abc import Mapping

from promptward.exchange import JSON, Source
from promptward.jsonstrict import dumps_canonical
from promptward.llm import LlmResponse, Usage
from promptward.protocols.anthropic_messages.blocks import read_content
from promptward.protocols.edits import apply_edits
from promptward.protocols.responses import response_collector, response_object, response_view

_IDS = frozenset({"id", "model", "stop_reason", "request_id", "role"})


def read_response(document: JSON) -> LlmResponse:
    """The neutral view of a response or of an error body.

    Raises:
        ExchangeError: (502) it is neither.
    """
    document = response_object(document, "content")
    collector = response_collector()
    for key, value in document.items():
        if key == "content":
            blocks = collector.array("/content", value)
            read_content(collector, "/content", Source.ASSISTANT, blocks)
        elif key in _IDS:
            collector.correlation_id(f"/{key}", Source.ASSISTANT, value)
        else:
            collector.member("", Source.ASSISTANT, key, value, document)
    return response_view(collector, read_usage(document.get("usage")), document)


def read_usage(value: JSON) -> Usage | None:
    """`usage`, or None when it is absent or makes no sense.

    Anthropic counts cached input beside `input_tokens`; the neutral view counts it within.
    """
    if not isinstance(value, dict):
        return None
    counts = []
    for key in ("input_tokens", "output_tokens", "cache_creation_input_tokens", _CACHE_READ):
        count = value.get(key)
        if count is None and key.startswith("cache"):
            count = 0
        if type(count) is not int or not 0 <= count < 2**40:
            return None
        counts.append(count)
    plain, output, created, cached = counts
    return Usage(
        plain + created + cached, output, cached_input_tokens=cached, cache_write_tokens=created
    )


_CACHE_READ = "cache_read_input_tokens"


def write_response(response: LlmResponse, edits: Mapping[str, str]) -> bytes | None:
    """The canonical bytes of the changed response, or None when nothing changes."""
    return dumps_canonical(apply_edits(response.document, edits)) if edits else None
