"""What the model sees in one window of words: concepts, concept pairs, common words, length.

Invariants: shared by training and inference, so they cannot drift apart; names are stable strings
(`c:IGNORE`, `p:IGNORE|INSTR`, `w:above`, `n:5`); linear in the words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from promptward.injection.lexicon import Masks
from promptward.injection.rules import around

PAIR_WINDOW = 6  # words within which two concepts count as a pair
WINDOW_WORDS = 160  # a text is judged in windows of this many words ...
WINDOW_STRIDE = 120  # ... that begin this many words apart
# Concepts rare in ordinary text; the others (your, all, new, say, ...) only count beside these.
TELLING = frozenset(
    {
        "ACTAS", "AIREF", "DEVMODE", "FROMNOW", "HARM", "HIDE", "IGNORE", "INSTR", "JBNAME",
        "REFUSE", "RESTRICT", "SECRET", "SYSPROMPT", "UNRESTRICTED", "YOUARE", "SEND", "HYPO",
        "ENCODE", "DISABLE", "ABOVE",
    }
)  # fmt: skip
# Different ones of these in a window from which the model is asked about it, also where no rule
# fires: chosen on leave-one-dataset-out (two or three find the same attacks, one finds fewer at
# the same rate of false alarms), and three are met in a fourth of harmless pages.
ASK_FROM = 3
SILENT = -8.0  # log-odds of a window without any of them that the model is not asked about
LENGTH_BUCKETS = 7  # log2 buckets of the window's length


def windows(words: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """(index of the first word, words) of every window of a text."""
    for number in range(window_count(len(words))):
        start = number * WINDOW_STRIDE
        yield start, words[start : start + WINDOW_WORDS]


def window_count(size: int) -> int:
    """How many windows a text of `size` words has."""
    return 1 + len(range(WINDOW_STRIDE, size - WINDOW_WORDS + WINDOW_STRIDE, WINDOW_STRIDE))


def length_feature(count: int) -> str:
    """The bucket of a window of `count` words."""
    return f"n:{min(LENGTH_BUCKETS, (count + 1).bit_length() - 1)}"


def telling(masks: Masks) -> bool:
    """Whether a window in which no rule fires tells enough to ask the model about it."""
    return len(TELLING & masks.keys()) >= ASK_FROM


def paired(one: str, other: str) -> bool:
    """Whether the pair of two concepts is a feature: at least one must be a telling one."""
    return one in TELLING or other in TELLING


def concept_features(masks: Masks) -> list[str]:
    """Telling concepts present, and telling pairs of concepts within `PAIR_WINDOW` words."""
    names = sorted(masks)
    out = [f"c:{name}" for name in names if name in TELLING]
    wide = {name: around(masks[name], PAIR_WINDOW) for name in names}
    out.extend(
        f"p:{a}|{b}" for a, b in combinations(names, 2) if paired(a, b) and wide[a] & masks[b]
    )
    return out
