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

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from promptward.errors import ExchangeError
from promptward.operators.edits import Edit, render
from promptward.operators.operator import Operator
from promptward.recognizers.matcher import RecognizerSet, resolve
from promptward.recognizers.model import CONTEXT_CHARS, Match

_KEEP = CONTEXT_CHARS + 1  # one more for the boundary before the first word of the context


def redact_text(
    text: str,
    recognizers: RecognizerSet,
    operators: Mapping[str, Operator],
    known: Sequence[Match] = (),
) -> tuple[str, list[Match]]:
    """Redact a whole text.

    Args:
        operators: entity -> operator; a match of an entity without one is only reported.
        known: matches that somebody else found in it, sorted; they compete like any other.

    Returns:
        The new text and all matches, with offsets in the given text.
    """
    matches = recognizers.find(text, known)
    return replace_matches(text, matches, operators), matches


def replace_matches(text: str, matches: Sequence[Match], operators: Mapping[str, Operator]) -> str:
    """`text` with its `matches` (sorted, not overlapping) replaced by their operators."""
    pieces: list[str] = []
    done = 0
    for match in matches:
        operator = operators.get(match.entity)
        if operator is not None:
            new = operator.apply(match.entity, text[match.start : match.end])
            pieces += (text[done : match.start], new)
            done = match.end
    return "".join((*pieces, text[done:])) if pieces else text


def _edits(
    text: str,
    span: tuple[int, int],
    matches: list[Match],
    operators: Mapping[str, Operator],
    *,
    base: int = 0,
) -> list[Edit]:
    """Edits of a span of `text`; the matches' offsets count from `base` before the text."""
    start, end = span
    edits: list[Edit] = []
    for match in matches:
        value = text[match.start - base : match.end - base]
        operator = operators.get(match.entity)
        new = None if operator is None else operator.apply(match.entity, value)
        edits += (Edit(text[start : match.start - base]), Edit(value, new, match))
        start = match.end - base
    edits.append(Edit(text[start:end]))
    return edits


class TextRedactor:
    """Redacts one channel incrementally.

    Args:
        recognizers: what to look for.
        operators: entity -> operator; a match of an entity without one is only reported.
        bound_chars: most characters that may be held back.
        known: matches that somebody else found in the whole channel, sorted, with absolute
            offsets; they compete like any other. One never reaches across a separator.

    Attributes:
        matches: everything found so far, with absolute offsets in the channel.
    """

    def __init__(
        self,
        recognizers: RecognizerSet,
        operators: Mapping[str, Operator],
        *,
        bound_chars: int,
        known: Sequence[Match] = (),
    ) -> None:
        self._recognizers = recognizers
        self._known = known
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
        return render(self.advance(text))

    def close(self) -> str:
        """The channel ended; return the rest. Idempotent."""
        return render(self.settle())

    def advance(self, text: str) -> list[Edit]:
        """As `feed`, with what became of each stretch."""
        if not text:
            return []
        self._buffer += text
        cut = self._recognizers.hold_from(self._buffer, self._start)
        if cut == self._start:
            self._check_bound()
            return []
        candidates = [match for match in self._candidates() if match.start < cut]
        while spanning := [m.start for m in candidates if m.end > cut]:
            cut = min(spanning)
            candidates = [match for match in candidates if match.start < cut]
        return self._release(cut, candidates)

    def settle(self, separator: str = "") -> list[Edit]:
        """Nothing reaches from here across `separator`: release everything.

        Args:
            separator: follows in the channel, is not inspected, and is context for what comes
                after it; the caller forwards it.
        """
        edits = self._release(len(self._buffer), self._candidates())
        self._buffer += separator
        self._start = len(self._buffer)
        return edits

    def _candidates(self) -> list[Match]:
        """What begins in the unreleased text, by its place in the buffer."""
        found = self._recognizers.candidates(self._buffer, self._start)
        if self._known:
            base = self._base
            first = bisect_left(self._known, base + self._start, key=_start)
            last = bisect_left(self._known, base + len(self._buffer), key=_start)
            for match in self._known[first:last]:
                found.append(_moved(match, -base))
        return found

    def _release(self, cut: int, candidates: list[Match]) -> list[Edit]:
        base = self._base
        matches = [_moved(m, base) for m in resolve(candidates)]
        edits = _edits(self._buffer, (self._start, cut), matches, self._operators, base=base)
        self.matches += matches
        drop = max(0, cut - _KEEP)
        self._buffer = self._buffer[drop:]
        self._base += drop
        self._start = cut - drop
        self._check_bound()
        return edits

    def _check_bound(self) -> None:
        if self.pending > self._bound:
            raise ExchangeError(
                "stream_window_exceeded",
                f"more than {self._bound} characters of a stream would have to be held back",
                502,
            )


def _moved(match: Match, by: int) -> Match:
    return match._replace(start=match.start + by, end=match.end + by)


def _start(match: Match) -> int:
    return match.start
