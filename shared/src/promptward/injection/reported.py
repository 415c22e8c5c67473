"""Whether a place in a text is spoken about rather than said: "attackers write ...".

Invariants: looks at a bounded stretch before the place, in the languages of the lexicon.
"""

from __future__ import annotations

from promptward.injection.lexicon import known_words, lexicon
from promptward.injection.tokens import spaced

REPORTED = "REPORTED"  # the lexicon's concept of who speaks about attacks
REACH = 100  # characters before a place in which such words count


def reported(folded: str, at: int) -> bool:
    """Whether shortly before place `at` of a folded text, attacks are spoken about."""
    terms = lexicon()
    words = terms.words(spaced(folded[max(0, at - REACH) : at]))
    distinct = frozenset(words)
    speaking = terms.speaking(distinct, distinct - known_words())
    marks = terms.marks(words, speaking, terms.phrases(words, speaking))
    return any(concept == REPORTED for _, concept in marks)
