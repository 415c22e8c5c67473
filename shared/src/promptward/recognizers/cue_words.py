"""Context words: whether one stands before a match.

Invariants: a Latin cue begins at a word's beginning and may be a stem ("licen" finds "licence"),
but one of fewer than three letters must be the whole word ("cc" is not in "ccache"). Cues in other
scripts are found anywhere, because those scripts do not write spaces. Text is compared lower-case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from promptward.recognizers.tries import trie_of, trie_pattern

_SHORT = 3  # a Latin cue with fewer letters is a whole word
# Letters of the scripts that write words with spaces.
LETTER = "[a-z\u00aa-\u024f\u0370-\u058f\u0900-\u0dff]"
_is_letter = re.compile(LETTER).match


def is_spaced(cue: str) -> bool:
    """Whether a cue is in a script that separates words by spaces."""
    return _is_letter(cue) is not None


def cues_source(words: Iterable[str], letter: str = LETTER) -> str:
    """A pattern of the longest of the cues, which begins where a word may begin.

    Args:
        letter: class of what may not follow a cue that is a whole word.
    """

    def char_source(char: str) -> str:
        return f"(?!{letter})" if char == "\0" else re.escape(char)

    return trie_pattern(trie_of(map(_bounded, words)), char_source)


def _bounded(word: str) -> str:
    """The cue; a short whole word gets a mark that becomes a bound."""
    return word + "\0" if is_whole_word(word) else word


def is_whole_word(cue: str) -> bool:
    """Whether no letter may follow a cue."""
    return len(cue) < _SHORT and is_spaced(cue)


class Cues:
    """Cue words that are looked for together.

    Args:
        words: lower-case, at least one.
    """

    __slots__ = ("_pattern", "_words")

    def __init__(self, words: tuple[str, ...]) -> None:
        self._words = words
        self._pattern: re.Pattern[str] | None = None

    @property
    def pattern(self) -> re.Pattern[str]:
        """Finds a cue; compiled when it is first needed: those of numbers hardly ever are."""
        if self._pattern is None:
            spaced = list(filter(is_spaced, self._words))
            other = [word for word in self._words if not is_spaced(word)]
            parts = [f"(?<!{LETTER})(?:{cues_source(spaced)})"] if spaced else []
            parts += [cues_source(other)] if other else []
            self._pattern = re.compile("|".join(parts))
        return self._pattern

    def last_in(self, window: Window) -> int:
        """Where the last cue in the window ends, or -1."""
        end, at = -1, window.low
        while (found := self.pattern.search(window.text, at)) is not None:
            end = at = found.end()
        return end

    def stand_in(self, window: Window, low: int) -> bool:
        """Whether a cue begins at `low` of the window or later."""
        return self.pattern.search(window.text, low) is not None


class Window:
    """What stands before a place, as cues are compared with it.

    Args:
        text: the whole text.
        place: code point offset of the place.
        size: characters in which a cue may stand.

    Attributes:
        text: lower-case, with one more character before it that says whether a word begins there.
        low: where in `text` a cue may begin.
    """

    __slots__ = ("low", "text")

    def __init__(self, text: str, place: int, size: int) -> None:
        self.low = 1 if place > size else 0
        self.text = folded(text[max(0, place - size - self.low) : place])


@lru_cache(maxsize=1024)
def cues_of(words: tuple[str, ...]) -> Cues | None:
    """The compiled cues, the same object for the same words; None for no words."""
    return Cues(words) if words else None


def folded(text: str) -> str:
    """`text` in lower case, with every character in its place."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    # Only U+0130 becomes longer; it is no part of any literal or cue.
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)
