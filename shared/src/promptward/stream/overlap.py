"""Find text that repeats a given text word for word, whole or streamed: a leaked system prompt.

How: both texts are read as tokens (ASCII words in lower case; any other character by itself, so
that scripts without spaces work too). A run of output tokens that stand in the same order in the
given text is followed; once it is long enough it is a leak, and lasts until the run breaks.

Invariants: the result does not depend on how the output is cut. Held back is the text of a run
that is not yet long enough, and the last token; a gap of more than `MAX_GAP` characters between
tokens breaks a run, so what is held back is bounded.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque

from promptward.operators.edits import Edit, render
from promptward.recognizers.model import Match

ENTITY = "SYSTEM_PROMPT"
# A run must have both. Eight words in a row are rarely shared by chance (plagiarism detectors use
# 5 to 8 word shingles: Broder, "On the resemblance and containment of documents", 1997); forty
# characters keep lists of short words and single ideographs from counting.
MIN_TOKENS = 8
MIN_CHARS = 40
MAX_GAP = 64
# a token has an end even in a text without spaces; longer words are several tokens
_TOKEN = re.compile(r"[0-9A-Za-z]{1,64}|[^\x00-\x7f]")
_WORD_LENGTH = 64
# Places in the known text that are followed at once. A pair of words that stands there more often
# is no sign of a leak, and following all would cost the known text's length for each token.
MAX_RUNS = 256
_SKIPPED = "\u200b\u200c\u200d\u2060\ufeff"  # invisible: they separate nothing


class KnownText:
    """The text that must not be repeated, indexed once per exchange.

    Args:
        text: for example the system messages of the request.
    """

    def __init__(self, text: str) -> None:
        self.tokens = [t.lower() for t in _TOKEN.findall(text) if t not in _SKIPPED]
        self.pairs: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index in range(len(self.tokens) - 1):
            self.pairs[self.tokens[index], self.tokens[index + 1]].append(index + 2)

    def __bool__(self) -> bool:
        return len(self.tokens) >= MIN_TOKENS

    def extend(self, runs: dict[int, int], previous: str, token: str) -> dict[int, int]:
        """Runs after one more token: index of the token that would come next -> length.

        At most `MAX_RUNS`, the longest ones first.
        """
        known, size = self.tokens, len(self.tokens)
        longer = {n + 1: length + 1 for n, length in runs.items() if n < size and known[n] == token}
        for following in self.pairs.get((previous, token), ()):
            if len(longer) >= MAX_RUNS:
                break
            longer.setdefault(following, 2)
        return longer


class OverlapChannel:
    """Reports, and replaces if asked to, what repeats the known text; an `EditingChannel`.

    Offsets are absolute in the channel throughout; the buffer begins at `_base`.

    Args:
        known: the text.
        replacement: what stands in place of a leak; None only reports.

    Attributes:
        matches: leaks so far.
    """

    def __init__(self, known: KnownText, replacement: str | None) -> None:
        self._known = known
        self._replacement = replacement
        self._buffer = ""
        self._base = 0
        self._at = 0  # tokens begin here or later
        self._runs: dict[int, int] = {}
        self._length = 0  # tokens in the longest run
        self._previous = ""
        self._starts: deque[int] = deque(maxlen=MIN_TOKENS)  # of the last tokens
        self._run_start = 0
        self._end = 0  # of the last token
        self._leaking = False
        self.matches: list[Match] = []

    @property
    def pending(self) -> int:
        """Characters held back."""
        return len(self._buffer)

    def feed(self, text: str) -> str:
        """Take more text; return what is certain."""
        return render(self.advance(text))

    def close(self) -> str:
        """The text ended; return the rest."""
        return render(self.settle())

    def advance(self, text: str) -> list[Edit]:
        """See `EditingChannel`."""
        self._buffer += text
        edits = self._read_tokens(ended=False)
        return edits + ([] if self._leaking else self._release(self._undecided()))

    def settle(self, separator: str = "") -> list[Edit]:
        """See `EditingChannel`."""
        edits = self._read_tokens(ended=True) + self._end_run()
        edits += self._release(self._base + len(self._buffer))
        self._base += len(separator)
        self._at = self._base
        return edits

    def _undecided(self) -> int:
        """The first place that may still turn out to be in a leak."""
        if self._length and self._at - self._end <= MAX_GAP:
            return self._run_start
        return self._at

    def _read_tokens(self, *, ended: bool) -> list[Edit]:
        edits: list[Edit] = []
        buffer_end = self._base + len(self._buffer)
        while found := _TOKEN.search(self._buffer, self._at - self._base):
            token, start, end = found[0], self._base + found.start(), self._base + found.end()
            if end == buffer_end and not ended and token.isascii() and len(token) < _WORD_LENGTH:
                self._at = start
                return edits + self._end_run_at_gap(start)
            self._at = end
            if token not in _SKIPPED:
                edits += self._end_run_at_gap(start)
                edits += self._take(token.lower(), start, end)
        self._at = buffer_end
        return edits + self._end_run_at_gap(buffer_end)

    def _end_run_at_gap(self, upto: int) -> list[Edit]:
        return self._end_run() if self._length and upto - self._end > MAX_GAP else []

    def _take(self, token: str, start: int, end: int) -> list[Edit]:
        edits: list[Edit] = []
        runs = self._known.extend(self._runs, self._previous, token)
        longest = max(runs.values(), default=1)
        if self._leaking and longest <= self._length:
            edits = self._end_run()
            runs, longest = {}, 1
        self._starts.append(start)
        if longest <= self._length or longest <= 2:
            self._run_start = self._starts[-longest]
        self._runs, self._length, self._previous, self._end = runs, longest, token, end
        long_enough = longest >= MIN_TOKENS and end - self._run_start >= MIN_CHARS
        self._leaking = self._leaking or long_enough
        return edits

    def _end_run(self) -> list[Edit]:
        """Nothing that follows belongs to the run: replace it if it is a leak."""
        edits: list[Edit] = []
        if self._leaking:
            edits = self._release(self._run_start)
            match = Match(ENTITY, self._run_start, self._end, 1.0, "system_prompt_overlap")
            self.matches.append(match)
            edits.append(Edit(self._cut(self._end), self._replacement, match))
        self._runs, self._length, self._previous, self._leaking = {}, 0, "", False
        return edits

    def _release(self, upto: int) -> list[Edit]:
        text = self._cut(upto)
        return [Edit(text)] if text else []

    def _cut(self, upto: int) -> str:
        """Take the buffer's text before the absolute offset `upto`."""
        size = max(0, upto - self._base)
        text, self._buffer = self._buffer[:size], self._buffer[size:]
        self._base += len(text)
        return text
