"""The multilingual concept lexicon: words of some forty languages → a few dozen concepts.

Purpose: "ignore", "ignoriere", "忽略" and "تجاهل" are one concept, so a rule or a weight learnt in
one language holds in all. Entries are data (`data/lexicon.json`): exact words, `stem*`, and phrases
of several words; Chinese, Japanese and Thai entries match inside a run of text.
Invariants: linear time (bounded work per word); of several stems the longest wins; a concept's
places are a bit mask over word positions, so rules are shifts and ands.
Source: hand-written for this project.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import cast

from promptward.injection.folding import fold, load_data
from promptward.injection.tokens import spaced

# Scripts written without spaces: Thai, Japanese kana, Chinese characters.
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_RUN = re.compile(r"\S+")
STEM_KEY = 4  # characters that index the stems of alphabetic scripts
SHORT_KEY = 2  # the same for syllabic and abjad scripts, whose stems are short

GATE_MARK = "@"  # begins the names of marks that are no concepts but open a pattern rule
SMALL_MASK = 512  # words up to which adding up bits beats filling a byte array

Masks = dict[str, int]


def _matches(word: str, pattern: str) -> bool:
    return word.startswith(pattern[:-1]) if pattern.endswith("*") else word == pattern


class Lexicon:
    """Finds concepts in words; immutable once built.

    Args:
        entries: concept → language → entries separated by `|`.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, str]]) -> None:
        self._exact: dict[str, tuple[str, ...]] = {}
        self._stems: dict[str, list[tuple[str, str]]] = {}
        self._phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        self._unspaced: dict[str, list[str]] = {}
        # A word that is English means its English self everywhere (Swedish "order").
        english = common_words() | {
            entry for languages in entries.values() for entry in languages.get("en", "").split("|")
        }
        for concept, languages in entries.items():
            for language, joined in languages.items():
                for entry in joined.split("|"):
                    if language == "en" or entry not in english:
                        self._add(entry, concept)
        for stems in self._stems.values():
            stems.sort(key=lambda item: -len(item[0]))
        for runs in self._unspaced.values():
            runs.sort(key=len, reverse=True)
        self.vocabulary = frozenset(self._exact)
        # A phrase is looked for where its first two words follow each other, or, when the second
        # is a stem, wherever its first word stands.
        self._pairs: dict[tuple[str, str], list[tuple[tuple[str, ...], str]]] = {}
        self._starred: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for first, found in self._phrases.items():
            for rest, concept in found:
                if rest[0].endswith("*"):
                    self._starred.setdefault(first, []).append((rest, concept))
                else:
                    self._pairs.setdefault((first, rest[0]), []).append((rest, concept))
        self._openers = frozenset(first for first, _ in self._pairs)

    def _add(self, entry: str, concept: str) -> None:
        star = entry.endswith("*")
        parts = spaced(fold(entry.removesuffix("*"))).split()
        if _UNSPACED.search(entry):
            run = "".join(parts)
            known = self._unspaced.setdefault(run[0], [])
            if run not in known:
                known.append(run)
            self._add_exact(run, concept)
        elif len(parts) > 1:
            rest = (*parts[1:-1], parts[-1] + "*" * star)
            self._phrases.setdefault(parts[0], []).append((rest, concept))
        elif star:
            size = STEM_KEY if len(parts[0]) >= STEM_KEY else SHORT_KEY
            self._stems.setdefault(parts[0][:size], []).append((parts[0], concept))
        else:
            self._add_exact(parts[0], concept)

    def _add_exact(self, word: str, concept: str) -> None:
        known = self._exact.get(word, ())
        if concept not in known:
            self._exact[word] = (*known, concept)

    def of_word(self, word: str) -> tuple[str, ...]:
        """The concepts of one word: its exact entry's, or else its longest stem's."""
        found = self._exact.get(word)
        if found is not None:
            return found
        stems = self._stems.get(word[:STEM_KEY])
        if stems is None:
            if word.isascii():
                return ()
            stems = self._stems.get(word[:SHORT_KEY], [])
        for stem, _ in stems:
            if word.startswith(stem):
                return tuple(c for s, c in stems if s == stem)
        return ()

    def marks(self, words: Sequence[str], distinct: frozenset[str]) -> list[tuple[int, str]]:
        """(index, concept) of every concept in `words`, by index; phrases at their last word.

        Args:
            words: the words of a text.
            distinct: the same, each once.
        """
        exact, of_word = self._exact, self.of_word
        known = {word: exact[word] for word in distinct & self.vocabulary}
        for word in distinct - known_words():
            if found := of_word(word):
                known[word] = found
        out: list[tuple[int, str]] = []
        if known:
            out = [
                (at, concept)
                for at, word in enumerate(words)
                if word in known
                for concept in known[word]
            ]
        phrases = self._phrases_in(words, distinct)
        return sorted(out + phrases) if phrases else out

    def locate(self, words: Sequence[str]) -> Masks:
        """Where each concept stands: concept → bit mask, bit i for `words[i]`."""
        return masks_of(self.marks(words, frozenset(words)), 0, len(words))

    def _phrases_in(self, words: Sequence[str], distinct: frozenset[str]) -> list[tuple[int, str]]:
        openers, pairs = self._openers, self._pairs
        out: list[tuple[int, str]] = []
        following = islice(words, 1, None)
        for at, pair in enumerate(zip(words, following, strict=False)):
            if pair[0] in openers and pair in pairs:
                out.extend(self._phrases_at(words, at, pairs[pair]))
        starred = distinct & self._starred.keys()
        if starred:
            for at, word in enumerate(words):
                if word in starred:
                    out.extend(self._phrases_at(words, at, self._starred[word]))
        return out

    @staticmethod
    def _phrases_at(
        words: Sequence[str], at: int, phrases: Sequence[tuple[tuple[str, ...], str]]
    ) -> list[tuple[int, str]]:
        out = []
        for rest, concept in phrases:
            if len(rest) == 1 and not rest[0].endswith("*"):  # both words were compared already
                out.append((at + 1, concept))
                continue
            tail = words[at + 1 : at + 1 + len(rest)]
            if len(tail) == len(rest) and all(map(_matches, tail, rest)):
                out.append((at + len(rest), concept))
        return out

    def split(self, text: str) -> list[tuple[int, int]]:
        """Word spans of `text` (already spaced), runs without spaces cut at entries."""
        out: list[tuple[int, int]] = []
        for match in _RUN.finditer(text):
            start, end = match.span()
            if text.isascii() or not _UNSPACED.search(text, start, end):
                out.append((start, end))
            else:
                self._cut(text, start, end, out)
        return out

    def _cut(self, text: str, start: int, end: int, out: list[tuple[int, int]]) -> None:
        begun = at = start
        while at < end:
            size = self._entry_at(text, at)
            if size:
                if begun < at:
                    out.append((begun, at))
                out.append((at, at + size))
                begun = at + size
            at += size or 1
        if begun < end:
            out.append((begun, end))

    def _entry_at(self, text: str, at: int) -> int:
        for entry in self._unspaced.get(text[at], ()):
            if text.startswith(entry, at):
                return len(entry)
        return 0

    def words(self, text: str) -> list[str]:
        """The words of a spaced text."""
        if text.isascii() or not _UNSPACED.search(text):
            return text.split()
        return [text[a:b] for a, b in self.split(text)]


def mask_of(places: Iterable[int], size: int) -> int:
    """The bit mask with the bits of `places` set; linear for any number of places below `size`."""
    bits = bytearray((size >> 3) + 1)
    for at in places:
        bits[at >> 3] |= 1 << (at & 7)
    return int.from_bytes(bits, "little")


def masks_of(marks: Iterable[tuple[int, str]], start: int, size: int) -> Masks:
    """The masks of `marks` in the window of `size` words that begins at `start`."""
    places: dict[str, list[int]] = {}
    for at, concept in marks:
        places.setdefault(concept, []).append(at - start)
    if size <= SMALL_MASK:
        return {c: sum({1 << at for at in ats}) for c, ats in places.items()}
    return {concept: mask_of(ats, size) for concept, ats in places.items()}


@cache
def common_words() -> frozenset[str]:
    """Common English words that carry no concept (`data/english.json`)."""
    return frozenset(cast(str, load_data("english")["common"]).split())


@cache
def known_words() -> frozenset[str]:
    """Words that need no closer look: the lexicon's own, and common English ones."""
    return lexicon().vocabulary | common_words()


def _with_gates() -> dict[str, Mapping[str, str]]:
    """The lexicon's entries, and the phrases that open pattern rules as further marks."""
    entries = dict(cast(Mapping[str, Mapping[str, str]], load_data("lexicon")))
    for rule in cast(list[Mapping[str, str]], load_data("patterns")["patterns"]):
        if "phrases" in rule:
            entries[GATE_MARK + rule["id"]] = {"en": rule["phrases"]}
    return entries


@cache
def lexicon() -> Lexicon:
    """The lexicon of `data/lexicon.json`, with the gates of `data/patterns.json`."""
    return Lexicon(_with_gates())
