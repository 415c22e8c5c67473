"""Context words: whether one stands before a match, and a cheap gate for many recognizers at once.

Invariants: a Latin cue begins at a word's beginning and may be a stem ("licen" finds "licence"),
but one of fewer than three letters must be the whole word ("cc" is not in "ccache"). Cues in other
scripts are found anywhere, because those scripts do not write spaces. Text is compared lower-case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import takewhile
from typing import Generic, TypeVar

from promptward.recognizers.tries import trie_of, trie_pattern

T = TypeVar("T")
_KEY = 3  # letters of a cue that the gate compares

# Letters of the scripts that write words with spaces; must agree with `_spaced`.
_LETTER = "[a-z\u00aa-\u024f\u0370-\u058f\u0900-\u0dff]"
_SPACED = re.compile(_LETTER)
# (`re` skips to a class quickly, to a repeat of one it does not)
_FIRST_LETTERS = re.compile(f"({_LETTER}{_LETTER}{{0,{_KEY - 1}}}){_LETTER}*")


def _spaced(char: str) -> bool:
    """Whether the character belongs to a script that separates words by spaces."""
    return _SPACED.match(char) is not None


def _is_spaced(cue: str) -> bool:
    return _spaced(cue[0])


class Cues:
    """Cue words that are looked for together.

    Args:
        words: lower-case, at least one.
    """

    __slots__ = ("_keys", "_other", "_search")

    def __init__(self, words: tuple[str, ...]) -> None:
        spaced = [_bounded(word) for word in words if _is_spaced(word)]
        other = [re.escape(word) for word in words if not _is_spaced(word)]
        parts = [rf"(?<!{_LETTER})(?:{_trie_source(spaced)})"] if spaced else []
        parts += sorted(other, key=len, reverse=True)
        self._search = re.compile("|".join(parts)).search
        self._keys = frozenset(_key(word) for word in words if _is_spaced(word))
        self._other = bool(other)

    def last_in(self, window: Window) -> int:
        """Where the last cue in the window ends, or -1."""
        end, at = -1, window.low
        if self._may_stand_in(window):
            while (found := self._search(window.text, at)) is not None:
                end = at = found.end()
        return end

    def stand_in(self, window: Window, low: int) -> bool:
        """Whether a cue begins at `low` of the window or later."""
        return self._may_stand_in(window) and self._search(window.text, low) is not None

    def _may_stand_in(self, window: Window) -> bool:
        if not self._keys.isdisjoint(window.first_letters):
            return True
        return self._other and not window.text.isascii()


class Window:
    """What stands before a place, as cues are compared with it.

    Args:
        text: the whole text.
        place: code point offset of the place.
        size: characters in which a cue may stand.

    Attributes:
        text: lower-case, with one more character before it that says whether a word begins there.
        low: where in `text` a cue may begin.
        first_letters: of its words.
        ends: id of cues -> where the last of them ends, for those already looked for.
    """

    __slots__ = ("ends", "first_letters", "low", "text")

    def __init__(self, text: str, place: int, size: int) -> None:
        self.low = 1 if place > size else 0
        self.text = folded(text[max(0, place - size - self.low) : place])
        self.first_letters = _FIRST_LETTERS.findall(self.text)
        self.ends: dict[int, int] = {}

    def last(self, cues: Cues) -> int:
        """Where the last of `cues` ends, or -1; many recognizers share their cues."""
        key = id(cues)
        end = self.ends.get(key)
        if end is None:
            end = self.ends[key] = cues.last_in(self)
        return end


@lru_cache(maxsize=1024)
def cues_of(words: tuple[str, ...]) -> Cues | None:
    """The compiled cues, the same object for the same words; None for no words."""
    return Cues(words) if words else None


def _bounded(word: str) -> str:
    """The cue; a short whole word gets a mark that `_char_source` turns into a bound."""
    return word + "\0" if len(word) < _KEY else word


def _trie_source(words: Iterable[str]) -> str:
    return trie_pattern(trie_of(words), _char_source)


def _char_source(char: str) -> str:
    return rf"(?!{_LETTER})" if char == "\0" else re.escape(char)


def _key(cue: str) -> str:
    """The first letters of a cue's first word."""
    return "".join(takewhile(_spaced, cue))[:_KEY]


class CueGate(Generic[T]):
    """Which of many things have one of their cues in a stretch of text: a superset, cheaply.

    Args:
        cues: thing -> its cue words.
    """

    def __init__(self, cues: Mapping[T, tuple[str, ...]]) -> None:
        things: dict[str, set[T]] = {}
        for thing, words in cues.items():
            for word in words:
                things.setdefault(word, set()).add(thing)
        self._things = {word: frozenset(found) for word, found in things.items()}
        self._by_key: dict[str, list[str]] = {}
        for word in filter(_is_spaced, things):
            self._by_key.setdefault(_key(word), []).append(word)
        self._keys = self._by_key.keys()
        self._others = [word for word in things if not _is_spaced(word)]
        firsts = "".join(re.escape(char) for char in sorted({word[0] for word in self._others}))
        self._other = re.compile(f"[{firsts}]") if firsts else None

    def found_in(self, lowered: str) -> list[tuple[int, int, frozenset[T]]]:
        """Where cues may stand in a lower-case stretch, by where they end: start, end, whose."""
        found = []
        for word in self._cues_in(lowered):
            things, size = self._things[word], len(word)
            at = lowered.find(word)
            while at >= 0:
                found.append((at, at + size, things))
                at = lowered.find(word, at + 1)
        if len(found) > 1:
            found.sort(key=_end)
        return found

    def _cues_in(self, lowered: str) -> Iterator[str]:
        keys = _FIRST_LETTERS.findall(lowered)
        if not self._keys.isdisjoint(keys):
            for key in self._keys & set(keys):
                for word in self._by_key[key]:
                    if word in lowered:
                        yield word
        if self._other is not None and not lowered.isascii() and self._other.search(lowered):
            for word in self._others:
                if word in lowered:
                    yield word


def _end(found: tuple[int, int, object]) -> int:
    return found[1]


def folded(text: str) -> str:
    """`text` in lower case, with every character in its place."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    # Only U+0130 becomes longer; it is no part of any literal or cue.
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)
