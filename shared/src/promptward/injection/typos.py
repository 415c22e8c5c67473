"""Small misspellings of keywords (`ignroe`, `instrctions`), as typed or as a disguise.

Invariants: bounded work per word; only words that are neither in the lexicon nor common English are
looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from promptward.injection.keywords import keywords, strong_words
from promptward.injection.lexicon import known_words

SHORTEST_TYPO, LONGEST_TYPO = 5, 14  # letters


@dataclass(frozen=True, slots=True)
class _Typos:
    """What typos are looked up in.

    Attributes:
        by_ends: first and last letter → keywords.
        cut: keyword without its last letter → it.
        scrambled: first letter, sorted middle, last letter → English word of the lexicon.
        real: words that are no typos.
        sizes: first and last letter → how long a typo with these may be, as a mask.
    """

    by_ends: dict[str, tuple[str, ...]]
    cut: dict[str, str]
    scrambled: dict[str, str]
    real: frozenset[str]
    sizes: dict[str, int]


@cache
def _typo_index() -> _Typos:
    by_ends: dict[str, tuple[str, ...]] = {}
    for word in sorted(strong_words()):
        ends = word[0] + word[-1]
        by_ends[ends] = (*by_ends.get(ends, ()), word)
    cut = {w[:-1]: w for w in sorted(strong_words()) if len(w) > SHORTEST_TYPO}
    scrambled = {
        _scrambled(w): w
        for w in sorted(known_words(), reverse=True)
        if len(w) > SHORTEST_TYPO and w.isascii() and w.isalpha()
    }
    real = known_words() | keywords("not_typos")
    return _Typos(by_ends, cut, scrambled, real, _sizes(by_ends, cut, scrambled))


def _sizes(
    by_ends: Mapping[str, tuple[str, ...]], cut: Iterable[str], scrambled: Iterable[str]
) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for word in (*cut, *scrambled):
        sizes[word[0] + word[-1]] = sizes.get(word[0] + word[-1], 0) | 1 << len(word)
    for ends, keywords_there in by_ends.items():
        for word in keywords_there:
            sizes[ends] = sizes.get(ends, 0) | 0b111 << len(word) - 1
    allowed = sum(1 << size for size in range(SHORTEST_TYPO, LONGEST_TYPO + 1))
    return {ends: mask & allowed for ends, mask in sizes.items()}


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


def _meant(word: str, index: _Typos) -> str | None:
    if word in index.cut:
        return index.cut[word]
    if found := index.scrambled.get(_scrambled(word)):
        return found
    for keyword in index.by_ends.get(word[0] + word[-1], ()):
        half = len(keyword) // 2  # one edit leaves one half of the keyword whole
        whole = word.startswith(keyword[:half]) or word.endswith(keyword[-half:])
        if whole and _close(word, keyword):
            return keyword
    return None


def typos(words: frozenset[str]) -> dict[str, str]:
    """Misspelt → meant, for those of `words` that are small typos of a keyword.

    A typo keeps the first letter, and is one edit away or (any English word of the lexicon) the
    same letters between the same first and last.
    """
    index = _typo_index()
    sizes = index.sizes
    near = [w for w in words if sizes.get(w[:1] + w[-1:], 0) >> len(w) & 1]
    out = {}
    for word in near:
        if word.isascii() and word not in index.real and (meant := _meant(word, index)):
            out[word] = meant
    return out
