"""Where, at the end of a buffer, a match may have begun that needs more text to be decided.

Only places where a word begins can begin a match of most recognizers, and only recognizers are
tried there that can begin with that character; they are tried together, as one pattern. Before the
last blank only those are left whose matches can hold one, which most cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from promptward.recognizers.compiled import BLANKS, WORD_CHARS, CompiledRecognizer
from promptward.recognizers.syntax import chars_source, merge

# Farther back than this only recognizers that can match more are looked for, by `re.search`.
_LONG = 512
_BEYOND = "beyond ASCII"
# Digits and letters share a pattern each: compiling one takes tens of milliseconds.
_KIND = {
    char: "digit"
    if char.isdigit()
    else "upper"
    if char.isupper()
    else "lower"
    if char.islower()
    else char
    for char in map(chr, range(0x80))
}


class ViablePrefixes:
    """The viable prefixes of many recognizers.

    Args:
        recognizers: all of a set.
    """

    def __init__(self, recognizers: Sequence[CompiledRecognizer]) -> None:
        self._long = tuple(item for item in recognizers if item.reach > _LONG)
        self._all = _Beginnings(recognizers)
        self._spaced = _Beginnings([item for item in recognizers if item.spaced])

    def first(self, text: str, start: int) -> int:
        """The first place at or after `start` of a viable prefix; `len(text)` for none."""
        hold = size = len(text)
        low = max(start, size - _LONG)
        if start < low:
            # Most often what was held back is still undecided: one look, not a search.
            if self._all.viable(text, start):
                return start
            for item in self._long:
                hit = item.partial.search(text, max(start, size - item.reach))
                if hit is not None:
                    hold = min(hold, hit.start())
        word = max(low, 1 + max(text.rfind(blank, low, hold) for blank in BLANKS))
        if (at := self._spaced.first(text, low, word)) < word:
            return at
        return self._all.first(text, word, hold)


class _Beginnings:
    """Viable prefixes by the character they begin with."""

    def __init__(self, items: Sequence[CompiledRecognizer]) -> None:
        # A place inside a word is none for a recognizer that no word character may precede.
        inside = [item for item in items if not item.starts_words]
        self._sources = {False: _by_first(items), True: _by_first(inside)}
        self._patterns: dict[tuple[str, bool], re.Pattern[str] | None] = {}
        anywhere, at_words = _class_of(inside), _class_of(items)
        self._places = re.compile(f"{at_words}(?:(?<![0-9A-Za-z_]{at_words})|(?<={anywhere}))")

    def first(self, text: str, low: int, high: int) -> int:
        """The first place in `text[low:high]` of a viable prefix; `high` for none."""
        for place in self._places.finditer(text, low, high):
            if self.viable(text, place.start()):
                return place.start()
        return high

    def viable(self, text: str, at: int) -> bool:
        """Whether a viable prefix begins at `at` and reaches the end."""
        key = (_KIND.get(text[at], _BEYOND), at > 0 and text[at - 1] in WORD_CHARS)
        pattern = self._patterns[key] if key in self._patterns else self._pattern(key)
        return pattern is not None and pattern.match(text, at) is not None

    def _pattern(self, key: tuple[str, bool]) -> re.Pattern[str] | None:
        """Compile the pattern of all that may begin so, once: only streams need it."""
        kind, in_word = key
        sources = self._sources[in_word].get(kind)
        pattern = re.compile("|".join(sources), re.ASCII) if sources else None
        self._patterns[key] = pattern
        return pattern


def _class_of(items: Iterable[CompiledRecognizer]) -> str:
    """A class of the characters that matches of any of the items begin with."""
    return chars_source(merge([r for item in items for r in item.first]))


def _by_first(items: Iterable[CompiledRecognizer]) -> dict[str, list[str]]:
    """Kind of first character -> sources of the viable prefixes that can begin with it."""
    table: dict[str, list[str]] = {}
    for item in items:
        kinds = {
            _KIND[chr(code)]: None
            for low, high in item.first
            for code in range(low, min(high, 0x7F) + 1)
        }
        if item.first and item.first[-1][1] > 0x7F:
            kinds[_BEYOND] = None
        for kind in kinds:
            table.setdefault(kind, []).append(item.partial_source)
    return table
