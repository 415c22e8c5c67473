"""What the whole responses of all protocols have in common: bounds, the envelope, token counts."""

from __future__ import annotations

from promptward.errors import ExchangeError
from promptward.exchange import JSON
from promptward.llm import LlmResponse, Usage
from promptward.protocols.base import BAD_GATEWAY
from promptward.protocols.collect import PartCollector, wrong_type

# Our bound on the texts of one answer: 128 choices with 128 calls each, and annotations.
MAX_RESPONSE_PARTS = 65_536
_MAX_TOKENS = 2**40


def response_object(document: JSON, answer: str) -> dict[str, JSON]:
    """The response, which must hold `answer` or be an error.

    Raises:
        ExchangeError: (502) it does not.
    """
    if not isinstance(document, dict):
        wrong_type("", "an object", document, BAD_GATEWAY)
    if answer not in document and document.get("error") is None:
        raise ExchangeError("missing_field", f"/{answer}: expected an array", BAD_GATEWAY)
    return document


def response_collector() -> PartCollector:
    """A collector for the parts of one whole response."""
    return PartCollector(MAX_RESPONSE_PARTS, BAD_GATEWAY)


def response_view(
    collector: PartCollector, usage: Usage | None, document: dict[str, JSON]
) -> LlmResponse:
    """The neutral view of what was collected."""
    return LlmResponse(tuple(collector.parts), tuple(collector.opaque), usage, document)


def token_count(holder: JSON, key: str) -> int | None:
    """A count of tokens in `holder`; None when there is none or it makes no sense."""
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if type(value) is int and 0 <= value < _MAX_TOKENS else None
