"""The incremental text redactor: one text channel, any cuts, the same output.

The law: for every way of cutting the input into `feed` calls, the joined output equals redacting
the whole text with `RecognizerSet.find`. How:

1. *Hold* everything from the first place where a match may begin that the buffer does not decide
   (`RecognizerSet.hold_from`, derived from the patterns themselves).
2. Matches that begin before that place are final. If one of them reaches over the place, hold
   from its beginning, until no match lies across the cut; overlaps are then resolved among
   themselves on each side.
3. Release up to the cut; keep `CONTEXT_CHARS` released characters, which boundaries and context
   words of later matches may look at.

Invariants: nothing that may still become part of a match is released; when that would need more
than `bound_chars`, the channel fails (`stream_window_exceeded`) rather than leak or grow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from promptward.errors import ExchangeError
from promptward.operators.operator import Operator
from promptward.recognizers.matcher import RecognizerSet, resolve
from promptward.recognizers.model import CONTEXT_CHARS, Match

_KEEP = CONTEXT_CHARS + 1  # one more for the boundary before the first word of the context


class TextChannel(Protocol):
    """What transforms one text channel: a redactor or a restorer."""

    def feed(self, text: str) -> str:
        """Take more text; return what is certain."""
        ...

    def close(self) -> str:
        """The text ended; return the rest."""
        ...


def redact_text(
    text: str, recognizers: RecognizerSet, operators: Mapping[str, Operator]
) -> tuple[str, list[Match]]:
    """Redact a whole text.

    Args:
        operators: entity -> operator; a match of an entity without one is only reported.

    Returns:
        The new text and all matches, with offsets in the given text.
    """
    matches = recognizers.find(text)
    return _replace(text, 0, len(text), matches, operators), matches


def _replace(
    text: str, start: int, end: int, matches: list[Match], operators: Mapping[str, Operator]
) -> str:
    out: list[str] = []
    for match in matches:
        operator = operators.get(match.entity)
        if operator is not None:
            value = text[match.start : match.end]
            out += (text[start : match.start], operator.apply(match.entity, value))
            start = match.end
    out.append(text[start:end])
    return "".join(out)


class TextRedactor:
    """Redacts one channel incrementally.

    Args:
        recognizers: what to look for.
        operators: entity -> operator; a match of an entity without one is only reported.
        bound_chars: most characters that may be held back.

    Attributes:
        matches: everything found so far, with absolute offsets in the channel.
    """

    def __init__(
        self, recognizers: RecognizerSet, operators: Mapping[str, Operator], *, bound_chars: int
    ) -> None:
        self._recognizers = recognizers
        self._operators = operators
        self._bound = bound_chars
        self._buffer = ""
        self._start = 0  # where the unreleased part of the buffer begins
        self._base = 0  # offset of the buffer in the channel
        self.matches: list[Match] = []

    @property
    def pending(self) -> int:
        """Characters held back."""
        return len(self._buffer) - self._start

    def feed(self, text: str) -> str:
        """Take more text; return what is certain.

        Raises:
            ExchangeError: `stream_window_exceeded` when more than the bound would be held back.
        """
        if not text:
            return ""
        self._buffer += text
        cut = self._recognizers.hold_from(self._buffer, self._start)
        if cut == self._start:
            self._check_bound()
            return ""
        candidates = self._recognizers.candidates(self._buffer, self._start)
        candidates = [match for match in candidates if match.start < cut]
        while spanning := [m.start for m in candidates if m.end > cut]:
            cut = min(spanning)
            candidates = [match for match in candidates if match.start < cut]
        return self._release(cut, candidates)

    def close(self) -> str:
        """The channel ended; return the rest. Idempotent."""
        candidates = self._recognizers.candidates(self._buffer, self._start)
        return self._release(len(self._buffer), candidates)

    def _release(self, cut: int, candidates: list[Match]) -> str:
        matches = resolve(candidates)
        out = _replace(self._buffer, self._start, cut, matches, self._operators)
        base = self._base
        self.matches += [replace(m, start=m.start + base, end=m.end + base) for m in matches]
        drop = max(0, cut - _KEEP)
        self._buffer = self._buffer[drop:]
        self._base += drop
        self._start = cut - drop
        self._check_bound()
        return out

    def _check_bound(self) -> None:
        if self.pending > self._bound:
            raise ExchangeError(
                "stream_window_exceeded",
                f"more than {self._bound} characters of a stream would have to be held back",
                502,
            )
