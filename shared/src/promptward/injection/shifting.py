"""Shifted alphabets (rot13 and every other Caesar shift) and text written backwards.

Invariants: linear time; ordinary text pays a few look-ups of its distinct words.
"""

from __future__ import annotations

from functools import cache
from string import ascii_lowercase

from promptward.injection.keywords import LITTLE, MIN_LITTLE, telltales
from promptward.injection.lexicon import known_words

LONGER_WORD, MIN_LONGER = 5, 3  # letters of a longer word; how many backwards are no accident


def _shift_table(shift: int) -> dict[int, int]:
    turned = ascii_lowercase[shift:] + ascii_lowercase[:shift]
    return str.maketrans(ascii_lowercase, turned)


@cache
def _shifted() -> tuple[dict[str, int], dict[str, int]]:
    """(disguised keyword → shift that undoes it, the same for little words), every shift."""
    real = known_words() | telltales()
    telling: dict[str, int] = {}
    little: dict[str, int] = {}
    for shift in range(1, 26):
        hide = _shift_table(26 - shift)
        for words, out in ((telltales(), telling), (LITTLE, little)):
            for word in sorted(words):
                if (turned := word.translate(hide)) not in real:
                    out.setdefault(turned, shift)
    return telling, little


def shifted_words() -> frozenset[str]:
    """Keywords and little words in every shifted alphabet."""
    telling, little = _shifted()
    return frozenset(telling).union(little)


def reversed_words() -> frozenset[str]:
    """Words of which `_is_telling` says so, backwards."""
    real = known_words() | telltales()
    return frozenset(w[::-1] for w in real | LITTLE if _is_telling(w)) - real


def _shift_of(words: frozenset[str]) -> int:
    """The shift that undoes a shifted alphabet in `words`; 0 when there is none."""
    telling, little = _shifted()
    found = [telling[w] for w in telling.keys() & words]
    weak = [little[w] for w in little.keys() & words]
    if not found and len(weak) < MIN_LITTLE:
        return 0
    votes = sorted(found * MIN_LITTLE + weak)
    best = max(set(votes), key=lambda shift: (votes.count(shift), -shift))
    return best if votes.count(best) >= MIN_LITTLE else 0


def unshift(folded: str, words: frozenset[str]) -> str | None:
    """`folded` with its alphabet shifted back, if disguised words are among `words`."""
    shift = _shift_of(words) if words else 0
    if not shift:
        return None
    turned = ascii_lowercase[shift:] + ascii_lowercase[:shift]
    table = bytes.maketrans(ascii_lowercase.encode(), turned.encode())
    spelled = folded.encode("utf-8", "surrogatepass")  # bytes are turned far quicker
    return spelled.translate(table).decode("utf-8", "surrogatepass")


def _is_telling(word: str) -> bool:
    """Whether `word` backwards betrays reversed text: a keyword, a little or longer known word."""
    if word in telltales() or word in LITTLE:
        return True
    return len(word) >= LONGER_WORD and word in known_words()


def unreverse(folded: str, words: frozenset[str]) -> str | None:
    """`folded` backwards, if reversed words are among `words`."""
    backwards = words - known_words() - telltales()
    forwards = {word for w in backwards if _is_telling(word := w[::-1])}
    betrayed = forwards and (
        not forwards.isdisjoint(telltales())
        or len(forwards & LITTLE) >= MIN_LITTLE
        or sum(len(w) >= LONGER_WORD for w in forwards) >= MIN_LONGER
    )
    return folded[::-1] if betrayed else None
