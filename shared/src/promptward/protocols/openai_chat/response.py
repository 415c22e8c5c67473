"""A whole OpenAI chat completion: document to neutral view, edits back into the document.

Invariants: every choice is read; log probabilities repeat the content token by token, so they are
taken out of any choice whose text changes, and are opaque where they say something else than it.
Source: OpenAI API reference, "The chat completion object".
"""

from __future__ import annotations

from collections.abc import Mapping

from promptward.exchange import JSON, Source
from promptward.jsonstrict import dumps_canonical
from promptward.llm import LlmResponse, Usage
from promptward.protocols.collect import PartCollector
from promptward.protocols.edits import apply_edits
from promptward.protocols.openai_chat.logprobs import repeats
from promptward.protocols.openai_chat.messages import read_content, read_message_field
from promptward.protocols.responses import (
    response_collector,
    response_object,
    response_view,
    token_count,
)

_IDS = frozenset({"id", "system_fingerprint", "model", "finish_reason", "native_finish_reason"})
_WORDS = frozenset({"object", "service_tier"})
_TEXTS = frozenset({"name", "refusal", "reasoning_content", "reasoning"})


def read_response(document: JSON) -> LlmResponse:
    """The neutral view of a response or of an error body.

    Raises:
        ExchangeError: (502) it is neither.
    """
    document = response_object(document, "choices")
    collector = response_collector()
    for key, value in document.items():
        if key == "choices":
            for pointer, choice in collector.objects("/choices", value):
                _read_choice(collector, pointer, choice)
        elif key in _IDS:
            collector.correlation_id(f"/{key}", Source.ASSISTANT, value)
        elif key in _WORDS:
            collector.word(f"/{key}", Source.ASSISTANT, value)
        else:
            collector.member("", Source.ASSISTANT, key, value, document)
    return response_view(collector, read_usage(document.get("usage")), document)


def _read_choice(collector: PartCollector, pointer: str, choice: dict[str, JSON]) -> None:
    message: dict[str, JSON] = {}
    for key, value in choice.items():
        at = f"{pointer}/{key}"
        if key == "message":
            message = collector.object(at, value)
            _read_message(collector, at, message)
        elif key in _IDS:
            collector.correlation_id(at, Source.ASSISTANT, value)
        elif key != "logprobs":
            collector.member(pointer, Source.ASSISTANT, key, value, choice)
    if not repeats(choice.get("logprobs"), message.get("content"), message.get("refusal")):
        collector.add_opaque(f"{pointer}/logprobs", Source.ASSISTANT, "logprobs")


def _read_message(collector: PartCollector, pointer: str, message: dict[str, JSON]) -> None:
    for key, value in message.items():
        if key == "content":
            read_content(collector, f"{pointer}/content", Source.ASSISTANT, value)
        elif key == "role":
            collector.word(f"{pointer}/role", Source.ASSISTANT, value)
        elif key in _TEXTS:
            collector.text(f"{pointer}/{key}", Source.ASSISTANT, value)
        else:
            read_message_field(collector, pointer, Source.ASSISTANT, key, message)


def read_usage(value: JSON) -> Usage | None:
    """`usage`, or None when it is absent or makes no sense (then it counts as missing)."""
    if not isinstance(value, dict):
        return None
    prompt, completion = (
        token_count(value, "prompt_tokens"),
        token_count(value, "completion_tokens"),
    )
    if prompt is None or completion is None:
        return None
    cached = token_count(value.get("prompt_tokens_details"), "cached_tokens")
    reasoning = token_count(value.get("completion_tokens_details"), "reasoning_tokens")
    return Usage(prompt, completion, cached or 0, reasoning or 0)


def write_response(response: LlmResponse, edits: Mapping[str, str]) -> bytes | None:
    """The canonical bytes of the changed response, or None when nothing changes."""
    if not edits:
        return None
    document = apply_edits(response.document, edits)
    choices = document.get("choices")
    if isinstance(choices, list):
        places = (pointer.split("/", 3) for pointer in edits if pointer.startswith("/choices/"))
        changed = {place[2] for place in places}
        document["choices"] = [
            _without_logprobs(choice) if str(index) in changed else choice
            for index, choice in enumerate(choices)
        ]
    return dumps_canonical(document)


def _without_logprobs(choice: JSON) -> JSON:
    if isinstance(choice, dict) and choice.get("logprobs") is not None:
        return {**choice, "logprobs": None}
    return choice
