"""Leetspeak: digits and symbols that stand for letters (`1gn0r3 pr3v10us`).

Invariants: linear time; the undone text is as long as the original, so places stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from promptward.injection.keywords import GLUE, LITTLE, MIN_LITTLE, telltales
from promptward.injection.lexicon import lexicon

# The common leetspeak alphabet; `1` is i, or else l.
LEET = str.maketrans("01345789@$!|+(€£", "oieastbgasiltcel")
LEET_L = str.maketrans("01345789@$!|+(€£", "oleastbgaslltcel")
# In words that are unknown either way, `|`, `(` and `+` are marks.
LEET_LETTERS = str.maketrans("01345789@$!€£", "oieastbgasiel")
# `|` of `<|1m_3nd|>` is no letter.
_LEET_WORD = re.compile(r"((?:[a-z0-9@$!+(€£]|(?<!<)\|(?!>)){2,})")


def _unleet_word(word: str) -> str:
    if word.isalpha():
        return word
    if not any(map(str.isalpha, word)):  # `45` and `70` are words where the others are disguised
        small = word.translate(LEET)
        return small if small in GLUE or small in LITTLE else word
    tail = word.rstrip("!|+(") if word[-1] in "!|+(" else word
    known = lexicon().vocabulary
    for table in (LEET, LEET_L):
        for candidate in (word.translate(table), tail.translate(table)):
            if candidate in known:
                return candidate
    return tail.translate(LEET_LETTERS) + word[len(tail) :]


def _may_be_keywords(words: Sequence[str]) -> bool:
    """Whether one of `words` may be a keyword or a little word once its digits are letters."""
    joined = " ".join(words)
    return any(not _wanted().isdisjoint(joined.translate(t).split(" ")) for t in (LEET, LEET_L))


@cache
def _wanted() -> frozenset[str]:
    return telltales() | LITTLE


def unleet(folded: str, words: Iterable[str]) -> str | None:
    """`folded` with digits in words read as letters, if keywords come to light."""
    mixed = [w for w in words if not w.isalpha() and w.isascii() and not w.isdigit()]
    if not mixed or not _may_be_keywords(mixed):
        return None
    read = frozenset(map(_unleet_word, mixed))
    if read.isdisjoint(telltales()) and len(read & LITTLE) < MIN_LITTLE:
        return None
    parts = _LEET_WORD.split(folded)  # words at odd places
    found = parts[1::2]
    plain = {word: _unleet_word(word).ljust(len(word)) for word in frozenset(found)}
    parts[1::2] = map(plain.__getitem__, found)
    return "".join(parts)
