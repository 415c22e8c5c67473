"""Letters that stand apart (`i g n o r e`, `i-g-n-o-r-e`) and words that are cut (`ig-nore`).

Invariants: linear time (a run of letters is put together up to `MAX_RUN` characters); the undone
text keeps its origin.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from promptward.injection.keywords import LITTLE, strong_words
from promptward.injection.lexicon import known_words
from promptward.injection.origins import Pieced

# Letters that seldom stand alone in ordinary text (a, i and the ends of contractions do).
_LETTERS = frozenset("bcefghjklnopqruvwxyz")
MIN_SINGLE_LETTERS = 3  # different letters that stand alone, from which a text may spell words
MAX_RUN = 6_000  # characters of one spaced run that are put together
LONGEST_WORD = 14  # letters of an unknown word that is taken for one
UNKNOWN_LETTER, KNOWN_WORD = 3, 1  # costs of cutting a run of letters into words
_SPACED = re.compile(r"[a-z0-9](?:[\t\n -/:-@\[-`{-~]{1,6}[a-z0-9]){4,}")
_GAP = re.compile(r"[^a-z0-9]+")
_JOINTS = re.compile(r"[a-z]{1,8}(?:[-_.*~^`\"|+=][a-z]{1,8}){1,12}")
_MARKS = re.compile(r"[-_.*~^`\"|+=]")
_GLUE = frozenset(
    {
        "a", "i", "to", "me", "my", "of", "in", "is", "it", "an", "do", "be", "as", "at", "by",
        "or", "we", "us", "if", "on", "so", "no", "up", "he",
    }
)  # fmt: skip


@cache
def _pieces_of_words() -> tuple[frozenset[str], int]:
    words = {w for w in known_words() if w.isascii() and w.isalpha() and len(w) > 3}
    words |= strong_words() | LITTLE | _GLUE
    return frozenset(words), max(map(len, words))


def segment(letters: str) -> list[str]:
    """`letters` cut into known words, fewest unknown letters first (dynamic programming)."""
    known, longest = _pieces_of_words()
    size = len(letters)
    # cost and length of the last word of the best cut of letters[:i]; unknown letters cost most
    cost = [0] * (size + 1)
    last = [1] * (size + 1)
    for end in range(1, size + 1):
        cost[end] = cost[end - 1] + UNKNOWN_LETTER
        last[end] = 1
        for length in range(2, min(longest, end) + 1):
            if letters[end - length : end] in known and cost[end - length] + KNOWN_WORD < cost[end]:
                cost[end], last[end] = cost[end - length] + KNOWN_WORD, length
    out: list[str] = []
    unknown = False  # whether the last word of `out` is made of unknown letters
    while size:
        word = letters[size - last[size] : size]
        if unknown and len(word) == 1:
            out[-1] = word + out[-1]
        else:
            out.append(word)
        unknown = len(word) == 1
        size -= last[size]
    return out[::-1]


def _letters_alone(folded: str, start: int, end: int) -> tuple[int, int]:
    """The part of a run whose letters all stand alone: not the end or start of a word beside it."""
    if start and folded[start - 1].isalnum():
        gap = _GAP.search(folded, start)
        start = gap.end() if gap else end
    if end < len(folded) and folded[end].isalnum():
        end -= 1
    return start, min(end, start + MAX_RUN)


def _words_of_run(run: str) -> list[list[int]]:
    """Offsets of the letters of each word in `run`: a gap unlike the usual one ends a word."""
    gaps = [m.group() for m in _GAP.finditer(run)]
    counted = Counter(gaps)
    usual = min(counted, key=lambda gap: (-counted[gap], gap), default="")
    words: list[list[int]] = [[]]
    at = 0
    for index, letter in enumerate(_GAP.split(run)):
        if index and gaps[index - 1] != usual:
            words.append([])
        if letter:
            words[-1].append(at)
        at += len(letter) + (len(gaps[index]) if index < len(gaps) else 0)
    return [word for word in words if word]


def _join_run(run: str) -> list[tuple[int, str]]:
    """(offset in `run`, word) of the words spelled by single letters in `run`."""
    out: list[tuple[int, str]] = []
    words = _words_of_run(run)
    for word in words:
        letters = "".join(run[i] for i in word)
        whole = letters in known_words() or (len(words) > 1 and len(letters) <= LONGEST_WORD)
        begun = 0
        for part in [letters] if whole else segment(letters):
            out.append((word[begun], part))
            begun += len(part)
    return out


def unspace(folded: str, words: frozenset[str]) -> tuple[str, Pieced] | None:
    """`folded` with letters that stand alone joined to words, and its origin."""
    if len(words & _LETTERS) < MIN_SINGLE_LETTERS:
        return None
    parts: list[str] = []
    pieces: list[tuple[int, int, int]] = []
    at = length = 0
    for match in _SPACED.finditer(folded):
        start, end = _letters_alone(folded, match.start(), match.end())
        if not start < end:
            continue
        parts.append(folded[at:start] + " ")
        pieces.append((length, at, start + 1))
        length += len(parts[-1])
        joined = _join_run(folded[start:end])
        for index, (offset, word) in enumerate(joined):
            stop = start + joined[index + 1][0] if index + 1 < len(joined) else end
            pieces.append((length, start + offset, stop))
            parts.append(word + " ")
            length += len(word) + 1
        at = end
    if not parts:
        return None
    pieces.append((length, at, len(folded)))
    whole = "".join((*parts, folded[at:]))
    return whole, Pieced(pieces, len(whole))


@cache
def _fragments() -> frozenset[str]:
    """Beginnings and ends of keywords that are no words themselves."""
    known = known_words()
    cut = {w[:i] for w in strong_words() for i in range(2, len(w))}
    cut |= {w[i:] for w in strong_words() for i in range(1, len(w) - 1)}
    return frozenset(cut - known)


def unjoint(folded: str, words: frozenset[str]) -> tuple[str, Pieced] | None:
    """`folded` without marks inside words (`ig-nore`, `p*rompt`), if keywords come to light."""
    if words.isdisjoint(_fragments()):
        return None
    strong = strong_words()
    parts: list[str] = []
    pieces: list[tuple[int, int, int]] = []
    at = length = 0
    for match in _JOINTS.finditer(folded):
        word = _MARKS.sub("", match.group())
        if word not in strong or word in words:
            continue
        start, end = match.span()
        parts += [folded[at:start], word]
        pieces += [(length, at, start), (length + start - at, start, end)]
        length += start - at + len(word)
        at = end
    if not parts:
        return None
    pieces.append((length, at, len(folded)))
    whole = "".join((*parts, folded[at:]))
    return whole, Pieced(pieces, len(whole))
