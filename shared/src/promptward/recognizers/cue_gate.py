"""The words around numbers, read once for all recognizers: whom they help, whom they veto.

Invariants: the same words as `cue_words.Cues` finds in the window before a place
(property-tested); only `CONTEXT_CHARS` before a place decide about it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import TypeVar

from promptward.recognizers.cue_words import (
    LETTER,
    cues_source,
    folded,
    is_spaced,
    is_whole_word,
)
from promptward.recognizers.model import CONTEXT_CHARS

# A cue word in a text: where it begins and ends; then bits of the recognizers that have it as a
# context word, of those it vetoes, and of those that need it after a match.
FoundCue = tuple[int, int, int, int, int]


_end = itemgetter(1)


class Surroundings:
    """The cue words of a stretch of text.

    Args:
        cues: they.
        first, last: places, both included, before which every word is known.
    """

    __slots__ = ("_since", "_verdict", "cues", "first", "last")

    def __init__(self, cues: list[FoundCue], first: int, last: int) -> None:
        if len(cues) > 1:
            cues.sort(key=_end)
        self.cues = cues
        self.first = first
        self.last = last
        self._since = 0
        # The last answer, and from where on it holds; without words the same everywhere.
        self._verdict = (0, 0, 0 if cues else last + 1)

    def before(self, at: int) -> tuple[int, int, int]:
        """What the words before a place say, which is `first` to `last`.

        Returns:
            Bits of what they help, of what they veto, and the next place where that changes.
        """
        if self._since <= at < self._verdict[2]:
            return self._verdict
        low, until, cues = at - CONTEXT_CHARS, self.last + 1, self.cues
        helps = denies = 0
        for index in range(bisect_left(cues, low, key=_end), len(cues)):
            start, end, helped, denied, _ = cues[index]
            if end > at:
                until = min(until, end)
                break
            if start >= low:
                helps |= helped
                denies |= denied
                if start + CONTEXT_CHARS < until:
                    until = start + CONTEXT_CHARS + 1
        self._since, self._verdict = at, (helps, denies, until)
        return self._verdict

    def is_denied(self, at: int, bit: int) -> bool:
        """Whether a word that vetoes begins after the last helpful one before a place."""
        near = sorted(self._near(at), key=_longest_first)
        helped = 0
        for start, end, helps, _, _ in near:
            if helps & bit and start >= helped:
                helped = end
        return any(denies & bit and start >= helped for start, _, _, denies, _ in near)

    def _near(self, at: int) -> list[FoundCue]:
        low, cues = at - CONTEXT_CHARS, self.cues
        near = cues[bisect_left(cues, low, key=_end) : bisect_right(cues, at, key=_end)]
        return [cue for cue in near if cue[0] >= low]


def _longest_first(cue: FoundCue) -> tuple[int, int]:
    return cue[0], -cue[1]


Words = Mapping[int, tuple[str, ...]]
_Whose = tuple[int, int, int, int]  # length of a cue, and the bits of `FoundCue`


class CueGate:
    """The cues of many recognizers.

    Args:
        context: bit of a recognizer -> its context words.
        denial: bit -> words that veto it.
        labels: bit -> words it needs after a match.
    """

    def __init__(self, context: Words, denial: Words, labels: Words) -> None:
        found: dict[str, list[int]] = {}
        for kind, words_of in enumerate((context, denial, labels)):
            for bit, words in words_of.items():
                for word in words:
                    found.setdefault(word, [0, 0, 0])[kind] |= bit
        whose = {word: (len(word), bits[0], bits[1], bits[2]) for word, bits in found.items()}
        # Where a cue stands, those stand too that it begins with.
        self._whose = {
            longest: [
                whose[word]
                for size in range(1, len(longest) + 1)
                if (word := longest[:size]) in whose
                and not (is_whole_word(word) and is_spaced(longest[size:]))
            ]
            for longest in whose
        }
        self._plain_whose = {_plain(w): bits for w, bits in self._whose.items() if w.isascii()}
        spaced = list(filter(is_spaced, whose))
        other = [word for word in whose if not is_spaced(word)]
        self._in_text = [
            re.compile(_source(words, start, LETTER), re.DOTALL).search
            for words, start in ((spaced, f"(?<!{LETTER})"), (other, ""))
            if words
        ]
        self._in_plain = [
            re.compile(_source(plain, start, "[a-z]").encode("latin-1"), re.DOTALL).search
            for words, start in ((spaced, "\\b"), (other, ""))
            if (plain := [_plain(word).decode("latin-1") for word in words if word.isascii()])
        ]

    def around(self, text: str, first: int, last: int, after: int = 0) -> Surroundings:
        """The words around places of a text.

        Args:
            first, last: the places, both included.
            after: characters after them in which words are looked for too.
        """
        begin, low = first - CONTEXT_CHARS - 1, 1  # (one more says whether a word begins there)
        if begin < 0:
            begin = low = 0
        stretch = text[begin : last + after]
        cues: list[FoundCue] = []
        if stretch.isascii():
            plain = _plain(stretch)
            for find in self._in_plain:
                _append(cues, find, plain, low, self._plain_whose, begin)
        else:
            lowered = folded(stretch)
            for search in self._in_text:
                _append(cues, search, lowered, low, self._whose, begin)
        return Surroundings(cues, first, last)


# A text of ASCII as bytes, lower-case, in which letters alone are what `re` calls word characters:
# that makes a word's beginning cheap to see.
_PLAIN = bytes(
    code + 0x80 if chr(code).isdigit() or chr(code) == "_" else ord(chr(code).lower())
    for code in range(0x80)
) + bytes(range(0x80, 0x100))


def _plain(text: str) -> bytes:
    return text.encode("ascii").translate(_PLAIN)


_Cue = TypeVar("_Cue", str, bytes)


def _append(
    cues: list[FoundCue],
    search: Callable[[_Cue, int], re.Match[_Cue] | None],
    stretch: _Cue,
    low: int,
    whose: Mapping[_Cue, Sequence[_Whose]],
    begin: int,
) -> None:
    """Add the cues from `low` of a stretch on, which begins at `begin` of the text."""
    hit = search(stretch, low)
    while hit is not None:
        at = hit.start()
        start = begin + at
        for size, helps, denies, labels in whose[hit[1]]:
            cues.append((start, start + size, helps, denies, labels))
        hit = search(stretch, at + 1)


def _source(cues: Sequence[str], start: str, letter: str) -> str:
    """A pattern of the first character of a cue, whose group is the longest that begins there.

    Args:
        start: what is true where a cue begins.
        letter: class of what may not follow a cue that is a whole word.
    """
    # (`re` is quick to skip to a class, and looks back from behind it)
    firsts = "".join(re.escape(char) for char in sorted({cue[0] for cue in cues}))
    return f"[{firsts}](?<={start}(?=({cues_source(cues, letter)})).)"
