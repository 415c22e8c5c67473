"""Small misspellings of keywords (`ignroe`, `instrctions`), as typed or as a disguise.

Invariants: bounded work per word; only words that are neither in the lexicon nor common English are
looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from promptward.injection.keywords import keywords, strong_words
from promptward.injection.lexicon import known_words

SHORTEST_TYPO, LONGEST_TYPO = 5, 14  # letters


class _Near(NamedTuple):
    """What words of one first and last letter may be typos of.

    Attributes:
        sizes: how long such a typo may be, as a mask.
        sums: sums of the letters of the English words that may be scrambled, as a mask: most
            words have another sum, and adding up is quicker than sorting.
        keywords: the keywords that may be one edit away.
        starts, tails: beginnings and ends of these: one edit leaves one half of a word whole.
    """

    sizes: int
    sums: int
    keywords: tuple[str, ...]
    starts: tuple[str, ...]
    tails: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Typos:
    """What typos are looked up in.

    Attributes:
        by_ends: first and last letter → what may be meant.
        cut: keyword without its last letter → it.
        scrambled: first letter, sorted middle, last letter → English word of the lexicon.
    """

    by_ends: Mapping[str, _Near]
    cut: Mapping[str, str]
    scrambled: Mapping[str, str]


@cache
def _typo_index() -> _Typos:
    strong = sorted(strong_words())
    cut = {w[:-1]: w for w in strong if len(w) > SHORTEST_TYPO}
    scrambled = {
        _scrambled(w): w
        for w in sorted(known_words(), reverse=True)
        if len(w) > SHORTEST_TYPO and w.isascii() and w.isalpha()
    }
    by_ends: dict[str, _Near] = {}
    for word in (*cut, *scrambled):
        near = by_ends.get(word[0] + word[-1], _NOTHING)
        sums = 1 << sum(word.encode()) if word in scrambled else 0
        near = near._replace(sizes=near.sizes | _sizes(len(word)), sums=near.sums | sums)
        by_ends[word[0] + word[-1]] = near
    for word in strong:
        near = by_ends.get(word[0] + word[-1], _NOTHING)
        sizes = near.sizes | _sizes(len(word) - 1, len(word), len(word) + 1)
        half = len(word) // 2
        near = near._replace(
            sizes=sizes,
            keywords=(*near.keywords, word),
            starts=(*near.starts, word[:half]),
            tails=(*near.tails, word[-half:]),
        )
        by_ends[word[0] + word[-1]] = near
    return _Typos(by_ends, cut, scrambled)


_NOTHING = _Near(0, 0, (), (), ())


def _sizes(*sizes: int) -> int:
    return sum(1 << size for size in sizes if SHORTEST_TYPO <= size <= LONGEST_TYPO)


def _scrambled(word: str) -> str:
    return word[0] + "".join(sorted(word[1:-1])) + word[-1]


def _shared_start(one: str, other: str) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def _close(word: str, keyword: str) -> bool:
    """Whether at most one edit apart."""
    longer = max(len(word), len(keyword))
    if abs(len(word) - len(keyword)) > 1:
        return False
    head = _shared_start(word, keyword)
    tail = _shared_start(word[head:][::-1], keyword[head:][::-1])
    return head + tail >= longer - 1


def _closest(word: str, near: _Near) -> str | None:
    """The keyword that `word` is one edit away from."""
    for keyword, start, tail in zip(near.keywords, near.starts, near.tails, strict=True):
        if (word.startswith(start) or word.endswith(tail)) and _close(word, keyword):
            return keyword
    return None


def typos(words: frozenset[str]) -> dict[str, str]:
    """Misspelt → meant, for those of `words` that are small typos of a keyword.

    A typo keeps the first letter, and is one edit away or (any English word of the lexicon) the
    same letters between the same first and last.
    """
    index = _typo_index()
    get, cut, scrambled = index.by_ends.get, index.cut, index.scrambled
    out = {}
    for word in words:
        near = get(word[0] + word[-1])
        if near is None:
            continue
        sizes, sums, _, starts, tails = near
        if not sizes >> len(word) & 1 or not word.isascii():
            continue
        meant = cut.get(word)
        if meant is None and sums >> sum(word.encode()) & 1:
            meant = scrambled.get(_scrambled(word))
        if meant is None and (word.startswith(starts) or word.endswith(tails)):
            meant = _closest(word, near)
        if meant and word not in known_words() and word not in keywords("not_typos"):
            out[word] = meant
    return out
