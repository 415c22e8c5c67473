"""The neutral LLM view of a body: what every wire protocol is parsed into.

Invariants: parts are in document order and cover every piece of text a client or model supplied;
whatever could not be turned into text is listed in `opaque`, never dropped. `document` is the
parsed JSON itself; edits are made to it by JSON pointer and it is re-serialised canonically.
"""

from __future__ import annotations

from promptward.exchange import JSON, Source
from promptward.values import value_object


@value_object(frozen=True, slots=True)
class Part:
    """One piece of text.

    Attributes:
        pointer: RFC 6901 pointer of the string in the body.
        source: who supplied it.
        text: the string (decoded once from the body's JSON).
        json_escaped: True when the text is itself JSON source (tool-call arguments): values
            written into it must be JSON-escaped and matches are looked for in its unescaped form.
    """

    pointer: str
    source: Source
    text: str
    json_escaped: bool = False


@value_object(frozen=True, slots=True)
class OpaquePart:
    """A part with no text to inspect: an inline image, a remote file, audio."""

    pointer: str
    source: Source
    reason: str  # snake_case, becomes the coverage reason, for example `inline_image`


@value_object(frozen=True, slots=True)
class LlmRequest:
    """A parsed LLM request.

    Attributes:
        protocol: for example `openai.chat`.
        model: as the client named it.
        parts: every inspectable text.
        opaque: every part that is not inspectable.
        tools: names of the tools the client offers or the forced choice names.
        max_output_tokens: the client's own cap in tokens per choice, or None.
        choices: how many answers the client asked for, at least 1.
        stream: whether an event stream was asked for.
        wants_usage: whether the client asked for usage in the stream itself.
        document: the parsed body.
    """

    protocol: str
    model: str
    parts: tuple[Part, ...]
    opaque: tuple[OpaquePart, ...]
    tools: tuple[str, ...]
    max_output_tokens: int | None
    choices: int
    stream: bool
    wants_usage: bool
    document: dict[str, JSON]


@value_object(frozen=True, slots=True)
class Usage:
    """Token counts as the upstream reported them.

    Attributes:
        input_tokens: all of the input, cached or not.
        output_tokens: all of the output, reasoning or not.
        cached_input_tokens: input read from the provider's cache.
        reasoning_tokens: output that is reasoning.
        cache_write_tokens: input written to the provider's cache, where that has a price.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@value_object(frozen=True, slots=True)
class LlmResponse:
    """A parsed, whole LLM response."""

    parts: tuple[Part, ...]
    opaque: tuple[OpaquePart, ...]
    usage: Usage | None
    document: dict[str, JSON]
