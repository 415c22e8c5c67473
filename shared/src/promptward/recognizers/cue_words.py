"""Context words: whether one stands before a match, and a cheap gate for many recognizers at once.

Invariants: a Latin cue begins at a word's beginning and may be a stem ("licen" finds "licence"),
but one of fewer than three letters must be the whole word ("cc" is not in "ccache"). Cues in other
scripts are found anywhere, because those scripts do not write spaces. Text is compared lower-case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import takewhile
from typing import Generic, TypeVar

T = TypeVar("T")
Trie = dict[str, "Trie"]
_KEY = 3  # letters of a cue that the gate compares

# Letters of the scripts that write words with spaces; must agree with `_spaced`.
_LETTER = "[a-z\u00aa-\u024f\u0370-\u058f\u0900-\u0dff]"
_WORD = re.compile(f"{_LETTER}{_LETTER}*")


def _spaced(char: str) -> bool:
    """Whether the character belongs to a script that separates words by spaces."""
    return _WORD.match(char) is not None


@lru_cache(maxsize=1024)
def cue_pattern(words: tuple[str, ...]) -> re.Pattern[str] | None:
    """One pattern that finds any of the cues; None for no words."""
    if not words:
        return None
    spaced = [_bounded(word) for word in words if _spaced(word[0])]
    other = [re.escape(word) for word in words if not _spaced(word[0])]
    parts = [rf"(?<!{_LETTER})(?:{trie_source(spaced)})"] if spaced else []
    return re.compile("|".join(parts + sorted(other, key=len, reverse=True)))


def _bounded(word: str) -> str:
    """The cue; one that is a short whole word gets a mark that `trie_source` turns into a bound."""
    return word + "\0" if len(word) < _KEY else word


def trie_source(words: Iterable[str]) -> str:
    """An alternation that shares beginnings, longest first: quick to fail."""
    root: Trie = {}
    for word in words:
        node = root
        for char in word:
            node = node.setdefault(char, {})
        node[""] = {}
    return _trie(root)


def _trie(node: Trie) -> str:
    options = [
        (rf"(?!{_LETTER})" if char == "\0" else re.escape(char)) + _trie(child)
        for char, child in sorted(node.items())
        if char
    ]
    if not options:
        return ""
    source = options[0] if len(options) == 1 else f"(?:{'|'.join(options)})"
    return f"(?:{source})?" if "" in node else source


def last_cue(cues: re.Pattern[str] | None, window: str) -> int:
    """Where the last cue in a lower-case `window` ends, or -1."""
    end = -1
    if cues is not None:
        for found in cues.finditer(window):
            end = found.end()
    return end


def has_letters(window: str) -> bool:
    """Whether a lower-case window could hold any cue at all."""
    return not window.isascii() or window.upper() != window


class CueGate(Generic[T]):
    """Which of many things have one of their cues in a stretch of text: a superset, cheaply.

    Args:
        cues: thing -> its cue words.
    """

    def __init__(self, cues: Mapping[T, tuple[str, ...]]) -> None:
        self._by_key: dict[str, set[T]] = {}
        self._by_other: dict[str, set[T]] = {}
        for thing, words in cues.items():
            for word in words:
                if _spaced(word[0]):
                    key = "".join(takewhile(_spaced, word))[:_KEY]
                    self._by_key.setdefault(key, set()).add(thing)
                else:
                    self._by_other.setdefault(word, set()).add(thing)

    def open_for(self, stretch: str) -> frozenset[T]:
        """The things whose cues may stand in `stretch`."""
        lowered = stretch.lower()
        found: set[T] = set()
        by_key = self._by_key
        for word in _WORD.findall(lowered):
            key = word[:_KEY]
            if key in by_key:
                found |= by_key[key]
        if not lowered.isascii():
            for cue, things in self._by_other.items():
                if cue in lowered:
                    found |= things
        return frozenset(found)
