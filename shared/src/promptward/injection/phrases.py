"""Phrases of several words, found by the word of each that ordinary text has least often.

Purpose: `you`, `all` and `what` begin hundreds of phrases and stand in every text. So a phrase is
looked up by a telling word of its own; only when its other words occur too does it matter where.
Invariants: every phrase is found wherever it stands; the work per word is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import compress, count

Phrase = tuple[tuple[str, ...], str]  # its words, of which the last may be a `stem*`; its concept
# Plain tuples, which are taken apart several times faster than named ones.
# A phrase seen from its key: words of it before the key, its words but a stem at the end, what its
# last word begins with (empty if that is a whole word), and what it means.
_Whole = tuple[int, list[str], str, str]
# The phrases of one key: by the word after it, or else the one before; or key and stem.
_Around = tuple[
    Mapping[str, tuple[_Whole, ...]], Mapping[str, tuple[_Whole, ...]], Sequence[tuple[str, str]]
]
_NOTHING: Mapping[str, tuple[_Whole, ...]] = {}


class Phrases:
    """Finds phrases in words; immutable once built.

    Args:
        phrases: at least two words each, the first of them no stem.
        commonness: sorts words, those that ordinary text has least often first.

    Attributes:
        keys: the words by which phrases are looked up.
    """

    __slots__ = ("_around", "_needs", "keys")

    def __init__(self, phrases: Iterable[Phrase], commonness: Callable[[str], object]) -> None:
        by_key: dict[str, list[_Whole]] = {}
        for words, concept in dict.fromkeys(phrases):
            last = words[-1]
            stem = last[:-1] if last.endswith("*") else ""
            whole = [*words[:-1]] if stem else [*words]
            key = min(whole, key=lambda word: (commonness(word), word))
            by_key.setdefault(key, []).append((whole.index(key), whole, stem, concept))
        self.keys = frozenset(by_key)
        self._around = {key: _around(found) for key, found in by_key.items()}
        self._needs = {key: _needed(key, found) for key, found in by_key.items()}

    def among(self, keys: Collection[str], distinct: frozenset[str]) -> frozenset[str]:
        """Those of some `keys` of a text that may be part of phrases in it.

        Args:
            keys: keys that occur.
            distinct: the text's words, each once.
        """
        found = []
        for key in keys:
            one, several = self._needs[key]
            if not one.isdisjoint(distinct) or (several and any(map(distinct.issuperset, several))):
                found.append(key)
        return frozenset(found)

    def find(self, words: Sequence[str], keys: frozenset[str]) -> list[tuple[int, str]]:
        """(index of its last word, concept) of every phrase in `words` that has one of `keys`."""
        out: list[tuple[int, str]] = []
        around = self._around
        places = compress(count(), map(keys.__contains__, words))
        words = [*words, ""]  # so that the first and the last have neighbours too
        for at in places:
            after, before, stems = around[words[at]]
            following = words[at + 1]
            if after and (near := after.get(following)):
                _whole(words, at, near, out)
            if before and (near := before.get(words[at - 1])):
                _whole(words, at, near, out)
            if stems:
                out += [(at + 1, concept) for stem, concept in stems if following.startswith(stem)]
        return out


def _around(phrases: Iterable[_Whole]) -> _Around:
    """Where to look from the key that `phrases` have in common."""
    after: dict[str, list[_Whole]] = {}
    before: dict[str, list[_Whole]] = {}
    stems: list[tuple[str, str]] = []
    for phrase in phrases:
        back, words, stem, concept = phrase
        if back + 1 < len(words):
            after.setdefault(words[back + 1], []).append(phrase)
        elif back:
            before.setdefault(words[back - 1], []).append(phrase)
        else:
            stems.append((stem, concept))
    return _packed(after), _packed(before), tuple(stems)


def _packed(near: Mapping[str, Sequence[_Whole]]) -> Mapping[str, tuple[_Whole, ...]]:
    """`near` in less memory; most keys have phrases on one side only, and one of a word."""
    return {word: tuple(phrases) for word, phrases in near.items()} or _NOTHING


def _needed(
    key: str, phrases: Iterable[_Whole]
) -> tuple[frozenset[str], tuple[frozenset[str], ...]]:
    """Sets of words, one of which must occur: those of one word as one set, and the others."""
    # a key that needs none but itself is always there
    needs = {frozenset(words) - {key} or frozenset({key}) for _, words, _, _ in phrases}
    single = frozenset().union(*(some for some in needs if len(some) == 1))
    several = [some for some in needs if len(some) > 1 and some.isdisjoint(single)]
    return single, tuple(sorted(several, key=lambda some: (len(some), sorted(some))))


def _whole(
    words: Sequence[str], at: int, near: Sequence[_Whole], out: list[tuple[int, str]]
) -> None:
    """Adds those of the phrases `near`, whose key is `words[at]`, that stand there."""
    for back, parts, stem, concept in near:
        start = at - back
        end = start + len(parts)
        if start < 0 or words[start:end] != parts:
            continue
        if not stem:
            out.append((end - 1, concept))
        elif words[end].startswith(stem):
            out.append((end, concept))


def by_length(little: frozenset[str], common: frozenset[str]) -> Callable[[str], object]:
    """How common a word is, as far as that shows: in a list of little or common words, or short."""
    return lambda word: (word in little, word in common, -len(word))
