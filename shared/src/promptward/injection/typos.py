"""Small misspellings of keywords (`ignroe`, `instrctions`), as typed or as a disguise.

Invariants: bounded work per word; only words that are neither in the lexicon nor common English are
looked at.
"""

from __future__ import annotations

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
    """

    by_ends: dict[str, tuple[str, ...]]
    cut: dict[str, str]
    scrambled: dict[str, str]
    real: frozenset[str]


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
    return _Typos(by_ends, cut, scrambled, real)


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
    out = {}
    for word in words:
        fits = SHORTEST_TYPO <= len(word) <= LONGEST_TYPO and word.isascii()
        if fits and word not in index.real and (meant := _meant(word, index)):
            out[word] = meant
    return out
