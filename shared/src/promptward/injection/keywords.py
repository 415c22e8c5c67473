"""The words that betray a disguise: keywords of attacks, and words too common to be an accident.

Source: hand-written for this project (`data/keywords.json`).
"""

from __future__ import annotations

from functools import cache
from typing import cast

from promptward.injection.folding import load_data

# Several of these, disguised alike, are no accident either.
LITTLE = frozenset(
    {
        "the", "and", "you", "your", "that", "this", "with", "what", "from", "are", "not", "have",
        "can", "all", "for", "will", "any", "must", "now",
    }
)  # fmt: skip
MIN_LITTLE = 2
# The shortest words between the others, English first: needed to cut a run of letters into words.
GLUE = frozenset(
    {
        "a", "i", "to", "me", "my", "of", "in", "is", "it", "an", "do", "be", "as", "at", "by",
        "or", "we", "us", "if", "on", "so", "no", "up", "he", "am", "how", "who", "one", "out",
        "new", "was", "but", "use", "say", "end", "get", "ai", "du", "die", "der", "das", "und",
        "les", "des", "tu", "que", "los", "las", "el", "tus", "tes", "il", "le", "la", "de", "di",
    }
)  # fmt: skip


@cache
def keywords(kind: str) -> frozenset[str]:
    """The words of one list of `data/keywords.json`."""
    return frozenset(cast(list[str], load_data("keywords")[kind]))


def strong_words() -> frozenset[str]:
    """English words whose presence in a disguise is never an accident."""
    return keywords("strong")


@cache
def telltales() -> frozenset[str]:
    """Words of any language in Latin script whose presence in a disguise is never an accident."""
    return strong_words() | keywords("abroad")
