"""What checks that act on recognised values share: redacting a part, filtering a channel, blocking.

Not a check: it knows no policy, only recognizers and operators.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from promptward.checks.content import Denial
from promptward.findings import Finding
from promptward.llm import Part
from promptward.operators import Operator
from promptward.protocols.base import Channel
from promptward.recognizers import Match, RecognizerSet
from promptward.stream.channels import ChannelBlocked
from promptward.stream.json_escaped import JsonEscapedChannel, transform_json_source
from promptward.stream.redactor import TextRedactor, redact_text


class EntityBlocked(ChannelBlocked):
    """An entity whose action is block was found."""

    def __init__(self, entity: str, denial: Denial) -> None:
        super().__init__(denial)
        self.entity = entity


class Block:
    """The operator of the block action: nothing more of the exchange may pass."""

    def __init__(self, denial: Denial) -> None:
        self._denial = denial

    def apply(self, entity: str, value: str) -> str:
        del value
        raise EntityBlocked(entity, self._denial)


class Reporter(Protocol):
    """Makes the findings of a check."""

    def finding(self, match: Match, pointer: str) -> Finding:
        """For a match in the text at `pointer`."""
        ...

    def blocked_finding(self, entity: str) -> Finding:
        """For an entity that blocks. A match that blocks is never written, so never located."""
        ...


def redact_part(
    part: Part,
    recognizers: RecognizerSet,
    operators: Mapping[str, Operator],
    known: Sequence[Match] = (),
) -> tuple[str, list[Match]]:
    """The new text of a whole part; what its filter would give, without holding back.

    Args:
        known: see `TextRedactor`.

    Raises:
        EntityBlocked: an operator is `Block` and its entity was found.
    """
    if not part.json_escaped:
        return redact_text(part.text, recognizers, operators, known)
    bound = max(len(part.text), 1)
    redactor = TextRedactor(recognizers, operators, bound_chars=bound, known=known)
    return transform_json_source(part.text, redactor)


class RecognizedFilter:
    """Redacts one channel incrementally; a `ChannelFilter`.

    Args:
        reporter: the check it works for.
        channel: see Channel.
        recognizers: what to look for.
        operators: entity -> what to do.
        bound_chars: most characters held back.
        known: see `TextRedactor`.
    """

    def __init__(
        self,
        reporter: Reporter,
        channel: Channel,
        recognizers: RecognizerSet,
        operators: Mapping[str, Operator],
        bound_chars: int,
        known: Sequence[Match] = (),
    ) -> None:
        self._reporter = reporter
        self._pointer = channel.pointer
        redactor = TextRedactor(recognizers, operators, bound_chars=bound_chars, known=known)
        self._text = JsonEscapedChannel(redactor) if channel.json_escaped else redactor
        self._blocked: list[Finding] = []

    def feed(self, text: str) -> str:
        with self._noting_a_block():
            return self._text.feed(text)

    def close(self) -> str:
        with self._noting_a_block():
            return self._text.close()

    @property
    def findings(self) -> list[Finding]:
        found = [self._reporter.finding(m, self._pointer) for m in self._text.matches]
        return found + self._blocked

    @contextmanager
    def _noting_a_block(self) -> Iterator[None]:
        try:
            yield
        except EntityBlocked as blocked:
            self._blocked.append(self._reporter.blocked_finding(blocked.entity))
            raise
