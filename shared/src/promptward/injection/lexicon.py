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
from collections.abc import Collection, Iterable, KeysView, Mapping, Sequence
from functools import cache, reduce
from itertools import chain, compress, count
from operator import or_
from sys import intern
from typing import NamedTuple, cast

from promptward.injection.folding import fold, load_data
from promptward.injection.keywords import GLUE, LITTLE
from promptward.injection.phrases import Phrase, Phrases, by_length
from promptward.injection.respelling import char_class
from promptward.injection.tokens import spaced

# Scripts written without spaces: Thai, Japanese kana, Chinese characters.
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
STEM_KEY = 4  # characters that index the stems of alphabetic scripts
SHORT_KEY = 2  # the same for syllabic and abjad scripts, whose stems are short

AHEAD = 256  # characters from a script without spaces on that are cut in one go

GATE_MARK = "@"  # begins the names of marks that are no concepts but open a pattern rule

Masks = dict[str, int]


class Speaking(NamedTuple):
    """The words of a text that may mean something.

    Attributes:
        distinct: all words of the text, each once.
        entries: those that are entries or keys of phrases.
        stemmed: those that are no known words but begin with a stem → the stem's concepts.
    """

    distinct: frozenset[str]
    entries: frozenset[str]
    stemmed: dict[str, tuple[str, ...]]


class Lexicon:
    """Finds concepts in words; immutable once built.

    Args:
        entries: concept → language → entries separated by `|`.

    Attributes:
        spellings: concept → how many entries it has.
    """

    def __init__(self, entries: Mapping[str, Mapping[str, str]]) -> None:
        self._exact: dict[str, tuple[str, ...]] = {}
        self._stems: dict[str, list[tuple[str, str]]] = {}
        phrases: list[Phrase] = []
        self._unspaced: set[str] = set()
        self.spellings = {
            concept: sum(joined.count("|") + 1 for joined in languages.values())
            for concept, languages in entries.items()
        }
        # A word that is English means its English self everywhere (Swedish "order").
        english = common_words() | {
            entry for languages in entries.values() for entry in languages.get("en", "").split("|")
        }
        for concept, languages in entries.items():
            for language, joined in languages.items():
                for entry in joined.split("|"):
                    if language == "en" or entry not in english:
                        self._add(entry, concept, phrases)
        for stems in self._stems.values():
            stems.sort(key=lambda item: -len(item[0]))
        self._cuts = _Cuts(self._unspaced)
        self._phrases = Phrases(phrases, by_length(GLUE | LITTLE, common_words()))
        self._speaking = self._phrases.keys.union(self._exact)
        self._bits = {concept: 1 << number for number, concept in enumerate(entries)}
        self._names = tuple(entries)
        self._own = dict.fromkeys(self._speaking, 0)
        self._own.update((word, self.bits(found)) for word, found in self._exact.items())

    @property
    def vocabulary(self) -> KeysView[str]:
        """The entries that are whole words."""
        return self._exact.keys()

    def _add(self, entry: str, concept: str, phrases: list[Phrase]) -> None:
        star = entry.endswith("*")
        parts = [*map(intern, spaced(fold(entry.removesuffix("*"))).split())]
        if _UNSPACED.search(entry):
            run = "".join(parts)
            self._unspaced.add(run)
            self._add_exact(run, concept)
        elif len(parts) > 1:
            phrases.append(((*parts[:-1], parts[-1] + "*" * star), concept))
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

    def _stemmed(self, words: frozenset[str]) -> dict[str, tuple[str, ...]]:
        """The concepts of those of `words` that have some; none of them is an entry itself."""
        stems = self._stems
        near = [word for word in words if word[:STEM_KEY] in stems]
        if not "".join(words).isascii():
            near += [word for word in words if not word.isascii() and word[:SHORT_KEY] in stems]
        return {word: found for word in near if (found := self.of_word(word))}

    def speaking(self, distinct: frozenset[str], odd: frozenset[str]) -> Speaking:
        """The words that may mean something.

        Args:
            distinct: the words of a text, each once.
            odd: those of them that are no `known_words()`.
        """
        return Speaking(distinct, distinct & self._speaking, self._stemmed(odd) if odd else {})

    def bits(self, concepts: Iterable[str]) -> int:
        """A bit for each of some concepts."""
        return reduce(or_, map(self._bits.__getitem__, concepts), 0)

    def named(self, bits: int) -> frozenset[str]:
        """The concepts of some `bits`."""
        found = []
        while bits:
            found.append(self._names[bits.bit_length() - 1])
            bits ^= 1 << bits.bit_length() - 1
        return frozenset(found)

    def of_words(self, speaking: Speaking) -> int:
        """What single words of a text mean, wherever they stand, as `bits`."""
        meant = reduce(or_, map(self._own.__getitem__, speaking.entries), 0)
        for concepts in speaking.stemmed.values():
            meant |= self.bits(concepts)
        return meant

    def phrases(self, words: Sequence[str], speaking: Speaking) -> list[tuple[int, str]]:
        """(index of its last word, concept) of every phrase in `words`.

        Args:
            words: the words of a text.
            speaking: which of them may mean something.
        """
        keys = speaking.entries & self._phrases.keys
        keys = self._phrases.among(keys, speaking.distinct) if keys else keys
        return self._phrases.find(words, keys) if keys else []

    def meanings(self, speaking: Speaking) -> dict[str, tuple[str, ...]]:
        """The words that mean something by themselves → their concepts."""
        exact = self._exact
        return {word: exact[word] for word in speaking.entries if word in exact} | speaking.stemmed

    def marks(
        self, words: Sequence[str], speaking: Speaking, phrases: Sequence[tuple[int, str]]
    ) -> list[tuple[int, str]]:
        """(index, concept) of every concept in `words`, by index; phrases at their last word.

        Args:
            words: the words of a text.
            speaking: which of them may mean something.
            phrases: the `phrases` among them.
        """
        meant = self.meanings(speaking)
        single = [
            (at, concept)
            for at in compress(count(), map(meant.__contains__, words))
            for concept in meant[words[at]]
        ]
        return sorted([*single, *phrases]) if phrases else single

    def words(self, text: str) -> list[str]:
        """The words of a spaced text, runs without spaces cut at entries."""
        return text.split() if text.isascii() else self._cuts.spread(text).split()


_start = re.Match.start


class _Cuts:
    """Where text without spaces is cut: at entries, from the left, the longest first.

    Args:
        entries: the entries that hold a character of a script without spaces.
    """

    __slots__ = ("_heads", "_longer", "_words")

    def __init__(self, entries: Collection[str]) -> None:
        sizes: dict[str, set[int]] = {}
        for entry in entries:
            sizes.setdefault(entry[:2], set()).add(len(entry))
        self._words = frozenset(entries)
        self._longer = {
            head: tuple(sorted(found - {1, 2}, reverse=True))
            for head, found in sizes.items()
            if max(found) > 2
        }
        # one class in front, for which places are found many times quicker than by alternatives
        firsts = char_class({ord(head[0]) for head in sizes}).pattern
        seconds = char_class({ord(head[1]) for head in sizes if len(head) == 2}).pattern
        alone = char_class({ord(head) for head in sizes if len(head) == 1}).pattern
        self._heads = re.compile(f"{firsts}(?:(?={seconds})|(?<={alone}))")

    def spread(self, text: str) -> str:
        """A spaced `text` with spaces around every entry."""
        longer, words = self._longer.get, self._words
        parts: list[str] = []
        done = looked = 0
        while run := _UNSPACED.search(text, looked):
            begun = text.rfind(" ", looked, run.start()) + 1  # an entry may begin in other letters
            looked = text.find(" ", run.start() + AHEAD)
            looked = len(text) if looked < 0 else looked
            for at in map(_start, self._heads.finditer(text, begun, looked)):
                if at < done:
                    continue
                head = text[at : at + 2]
                for size in longer(head, ()):
                    entry = text[at : at + size]
                    if entry in words:
                        break
                else:
                    entry = head if head in words else head[0]
                    if entry not in words:
                        continue
                if at > done:
                    parts.append(text[done:at])
                parts.append(entry)
                done = at + len(entry)
        return " ".join((*parts, text[done:])) if parts else text


def masks_of(marks: Iterable[tuple[int, str]], start: int) -> Masks:
    """The masks of `marks` in the window that begins at word `start`."""
    masks: Masks = {}
    get = masks.get
    for at, concept in marks:
        masks[concept] = get(concept, 0) | 1 << (at - start)
    return masks


@cache
def common_words() -> frozenset[str]:
    """Common English words that carry no concept (`data/english.json`)."""
    return packed(map(intern, cast(str, load_data("english")["common"]).split()))


@cache
def known_words() -> frozenset[str]:
    """Words that need no closer look: the lexicon's own, and common English ones."""
    return packed(chain(common_words(), lexicon().vocabulary))


def packed(words: Iterable[str]) -> frozenset[str]:
    """`words`, each once, in half the memory: a set that grew word by word has room for twice as
    many, a copy of a set has not."""
    return frozenset(set(words))


def _with_gates() -> dict[str, Mapping[str, str]]:
    """The lexicon's entries, and the phrases that open pattern rules as further marks."""
    entries = dict(cast(Mapping[str, Mapping[str, str]], load_data("lexicon")))
    for rule in cast(list[Mapping[str, str]], load_data("patterns")["patterns"]):
        gates = {"en": rule.get("phrases", ""), "abroad": rule.get("abroad", "")}
        if any(gates.values()):
            entries[GATE_MARK + rule["id"]] = {k: v for k, v in gates.items() if v}
    return entries


@cache
def lexicon() -> Lexicon:
    """The lexicon of `data/lexicon.json`, with the gates of `data/patterns.json`."""
    return Lexicon(_with_gates())
