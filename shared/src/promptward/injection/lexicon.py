"""The multilingual concept lexicon: words of some thirty languages → a few dozen concepts.

Purpose: "ignore", "ignoriere", "忽略" and "تجاهل" are one concept, so that a rule or a weight learnt
in one language holds in all. Entries are data (`data/lexicon.json`): exact words, `stem*`, and
phrases of several words; Chinese, Japanese and Thai entries match inside a run of text.
Invariants: linear time (bounded work per word); ties resolve to the longest entry.
Source: hand-written for this project.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from promptward.injection.folding import fold, load_data
from promptward.injection.tokens import spaced

_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
STEM_KEY = 4  # characters that index stems of alphabetic scripts
SHORT_KEY = 2  # the same for syllabic and abjad scripts, whose stems are short


@dataclass(frozen=True, slots=True)
class Mark:
    """A concept at words `start:end` of a text."""

    start: int
    end: int
    concept: str


@dataclass(frozen=True, slots=True)
class _Phrase:
    """The words after the first of a phrase; a trailing `*` makes one a stem."""

    rest: tuple[str, ...]
    concept: str


def _matches(word: str, pattern: str) -> bool:
    return word.startswith(pattern[:-1]) if pattern.endswith("*") else word == pattern


class Lexicon:
    """Finds concepts in words; immutable once built.

    Args:
        entries: concept → language → entries separated by `|`.
    """

    def __init__(self, entries: dict[str, dict[str, str]]) -> None:
        self.exact: dict[str, list[str]] = {}
        self.stems: dict[str, list[tuple[str, str]]] = {}
        self.phrases: dict[str, list[_Phrase]] = {}
        self.unspaced: dict[str, list[tuple[str, str]]] = {}
        for concept, languages in entries.items():
            for joined in languages.values():
                for entry in joined.split("|"):
                    self._add(entry, concept)
        for table in (self.stems, self.unspaced):
            for found in table.values():
                found.sort(key=lambda item: -len(item[0]))
        for phrases in self.phrases.values():
            phrases.sort(key=lambda phrase: -len(phrase.rest))

    def _add(self, entry: str, concept: str) -> None:
        star = entry.endswith("*")
        parts = [fold(p) for p in spaced(fold(entry.removesuffix("*"))).split()]
        if _UNSPACED.search(entry):
            joined = "".join(parts)
            self.unspaced.setdefault(joined[0], []).append((joined, concept))
        elif len(parts) > 1:
            rest = (*parts[1:-1], parts[-1] + "*" * star)
            self.phrases.setdefault(parts[0], []).append(_Phrase(rest, concept))
        elif star:
            size = STEM_KEY if len(parts[0]) >= STEM_KEY else SHORT_KEY
            self.stems.setdefault(parts[0][:size], []).append((parts[0], concept))
        elif concept not in (known := self.exact.setdefault(parts[0], [])):
            known.append(concept)

    def of_word(self, word: str) -> list[str]:
        """Every concept of one word: its exact entry, or else its longest stem."""
        found = self.exact.get(word)
        if found is not None:
            return found
        stems = self.stems.get(word[:STEM_KEY])
        if stems is None and not word.isascii():
            stems = self.stems.get(word[:SHORT_KEY])
        for stem, _ in stems or ():
            if word.startswith(stem):
                return [c for s, c in stems or () if s == stem]
        return []

    def _phrases_at(self, words: Sequence[str], at: int) -> list[Mark]:
        out = []
        for phrase in self.phrases.get(words[at], ()):
            end = at + 1 + len(phrase.rest)
            if end <= len(words) and all(map(_matches, words[at + 1 : end], phrase.rest)):
                out.append(Mark(at, end, phrase.concept))
        return out

    def marks(self, words: Sequence[str]) -> list[Mark]:
        """Every concept in `words`, by position."""
        out: list[Mark] = []
        for at, word in enumerate(words):
            out.extend(Mark(at, at + 1, concept) for concept in self.of_word(word))
            if word in self.phrases:
                out.extend(self._phrases_at(words, at))
        return out

    def split(self, text: str) -> list[tuple[int, int]]:
        """Word spans of `text`, runs without spaces cut at lexicon entries (longest first)."""
        out: list[tuple[int, int]] = []
        for match in re.finditer(r"\S+", text):
            start, end = match.span()
            if not _UNSPACED.search(text, start, end):
                out.append((start, end))
                continue
            begun = at = start
            while at < end:
                size = self._unspaced_at(text, at)
                if size:
                    if begun < at:
                        out.append((begun, at))
                    out.append((at, at + size))
                    begun = at + size
                at += size or 1
            if begun < end:
                out.append((begun, end))
        return out

    def _unspaced_at(self, text: str, at: int) -> int:
        for entry, _ in self.unspaced.get(text[at], ()):
            if text.startswith(entry, at):
                return len(entry)
        return 0


@cache
def lexicon() -> Lexicon:
    """The lexicon of `data/lexicon.json`."""
    entries = load_data("lexicon")
    built = Lexicon(entries)  # type: ignore[arg-type]
    for found in built.unspaced.values():
        for entry, concept in found:
            known = built.exact.setdefault(entry, [])
            if concept not in known:
                known.append(concept)
    return built
