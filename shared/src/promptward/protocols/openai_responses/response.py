"""A whole Responses API answer: document to neutral view, edits back into the document.

The answer repeats parts of the request (`instructions`, `tools`, `metadata`); they keep the source
they had there. Source: OpenAI API reference, "The response object".
"""

from __future__ import annotations

from collections.abc import Mapping

from promptward.exchange import JSON, Source
from promptward.jsonstrict import dumps_canonical, has_pointer, set_pointers
from promptward.llm import LlmResponse, Usage
from promptward.protocols.collect import PartCollector
from promptward.protocols.edits import apply_edits
from promptward.protocols.openai_responses.items import read_items
from promptward.protocols.responses import (
    response_collector,
    response_object,
    response_view,
    token_count,
)

_IDS = frozenset({"id", "model", "previous_response_id"})
_WORDS = frozenset({"object", "status", "service_tier", "truncation", "background"})
_REPEATED = {
    "tools": Source.TOOL_DEFINITION,
    "tool_choice": Source.TOOL_DEFINITION,
    "text": Source.TOOL_DEFINITION,
    "metadata": Source.USER,
    "user": Source.USER,
    "safety_identifier": Source.USER,
    "prompt_cache_key": Source.USER,
    "prompt": Source.USER,
}


def read_response(document: JSON) -> LlmResponse:
    """The neutral view of a response or of an error body.

    Raises:
        ExchangeError: (502) it is neither.
    """
    document = response_object(document, "output")
    collector = response_collector()
    read_response_object(collector, "", document)
    return response_view(collector, read_usage(document.get("usage")), document)


def read_response_object(collector: PartCollector, pointer: str, document: dict[str, JSON]) -> None:
    """Collect the texts of a response object, whole or as far as a stream has it."""
    for key, value in document.items():
        at = f"{pointer}/{key}"
        if key == "output":
            read_items(collector, at, Source.ASSISTANT, collector.array(at, value))
        elif key == "instructions":
            read_items(collector, at, Source.SYSTEM, value)
        elif key in _REPEATED:
            collector.walk(at, _REPEATED[key], value)
        elif key in _IDS:
            collector.correlation_id(at, Source.ASSISTANT, value)
        elif key in _WORDS and isinstance(value, str):
            collector.word(at, Source.ASSISTANT, value)
        else:
            collector.member(pointer, Source.ASSISTANT, key, value, document)


def read_usage(value: JSON) -> Usage | None:
    """`usage`, or None when it is absent or makes no sense (then it counts as missing)."""
    if not isinstance(value, dict):
        return None
    plain, output = token_count(value, "input_tokens"), token_count(value, "output_tokens")
    if plain is None or output is None:
        return None
    cached = token_count(value.get("input_tokens_details"), "cached_tokens")
    reasoning = token_count(value.get("output_tokens_details"), "reasoning_tokens")
    return Usage(plain, output, cached or 0, reasoning or 0)


def write_response(response: LlmResponse, edits: Mapping[str, str]) -> bytes | None:
    """The canonical bytes of the changed response, or None when nothing changes.

    Log probabilities beside a changed text would repeat what it was: they are emptied.
    """
    if not edits:
        return None
    document: JSON = apply_edits(response.document, edits)
    beside = (p.removesuffix("text") + "logprobs" for p in edits if p.endswith("/text"))
    emptied: dict[str, JSON] = {p: [] for p in beside if has_pointer(document, p)}
    return dumps_canonical(set_pointers(document, emptied))
