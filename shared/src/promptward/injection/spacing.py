"""Letters that stand apart (`i g n o r e`, `i-g-n-o-r-e`) and words that are cut (`ig-nore`).

Invariants: linear time (a run of letters is put together up to `MAX_RUN` characters); the undone
text keeps its origin.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from string import ascii_lowercase, digits
from typing import cast

from promptward.injection.folding import fold, load_data
from promptward.injection.keywords import GLUE, LITTLE, strong_words
from promptward.injection.lexicon import known_words
from promptward.injection.origins import Pieced
from promptward.injection.tokens import spaced

# Letters that seldom stand alone in ordinary text (a, i and the ends of contractions do).
_LETTERS = frozenset("bcefghjklnopqruvwxyz")
MIN_SINGLE_LETTERS = 3  # different letters that stand alone, from which a text may spell words
MAX_RUN = 6_000  # characters of one spaced run that are put together
LONGEST_WORD = 14  # letters of an unknown word that is taken for one
UNKNOWN_LETTER, KNOWN_WORD = 3, 1  # costs of cutting a run of letters into words
_LETTERS_AND_DIGITS = f"{ascii_lowercase}{digits}"
_PAIR = (2,)  # the sizes of words that may begin with the last two letters
_SPACED = re.compile(r"[a-z0-9](?:[\t\n -/:-@\[-`{-~]{1,6}[a-z0-9]){4,}")
_GAP = re.compile(r"[^a-z0-9]+")
_JOINTS = re.compile(r"[a-z]{1,8}(?:[-_.*~^`\"|+=][a-z]{1,8}){1,12}")
_MARKS = re.compile(r"[-_.*~^`\"|+=]")
# Marks that stand apart like the letters, right before and after a run (`< | s y s t e m | >`).
_MARKS_BEFORE = re.compile(r"(?:[!-/:-@\[-^`{-~] ?){1,8}\Z")
_MARKS_AFTER = re.compile(r"(?: ?[!-/:-@\[-^`{-~]){1,8}")
MARKS_REACH = 16  # characters in which those are looked for


@cache
def _pieces_of_words() -> frozenset[str]:
    entries = cast(Mapping[str, Mapping[str, str]], load_data("lexicon"))
    words = {
        word
        for languages in entries.values()
        for joined in languages.values()
        for word in fold(joined).replace("|", " ").split()
    }
    words |= known_words()
    words = {w for w in words if w.isascii() and w.isalpha() and len(w) > 3}
    words |= strong_words() | LITTLE | GLUE
    return frozenset(words)


@cache
def _sizes_of_words() -> dict[str, tuple[int, ...]]:
    """Three letters → the sizes of the known words that may begin with them."""
    known = _pieces_of_words()
    sizes: dict[str, set[int]] = {}
    for word in known:
        heads = (word + last for last in _LETTERS_AND_DIGITS) if len(word) == 2 else (word[:3],)
        for head in heads:
            sizes.setdefault(head, set()).add(len(word))
    return {head: tuple(sorted(found - {1})) for head, found in sizes.items()}


def segment(letters: str) -> list[str]:
    """`letters` cut into known words, fewest unknown letters first (dynamic programming)."""
    size = len(letters)
    known, sizes = _pieces_of_words(), _sizes_of_words()
    # cost and size of the last word of the best cut of letters[:i]; unknown letters cost most and
    # of two cuts that cost the same the one with the shorter last word is taken
    cost = [UNKNOWN_LETTER * at for at in range(size + 1)]
    last = [1] * (size + 1)
    for at in range(size):
        here = cost[at]
        if here + UNKNOWN_LETTER <= cost[at + 1]:
            cost[at + 1], last[at + 1] = here + UNKNOWN_LETTER, 1
        for length in sizes.get(letters[at : at + 3], _PAIR if at + 2 == size else ()):
            end = at + length
            if end <= size and here < cost[end] and letters[at:end] in known:
                cost[end], last[end] = here + KNOWN_WORD, length
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
    if start and spaced(folded[start - 1]) not in " @$":
        gap = _GAP.search(folded, start)
        start = gap.end() if gap else end
    if end < len(folded) and spaced(folded[end]) not in " @$":
        end -= 1
    return start, min(end, start + MAX_RUN)


def _words_of_run(run: str) -> tuple[str, bool, list[tuple[list[int], str]]]:
    """How `run` spells words: its usual gap, whether wider gaps part the words, and the words.

    A word is the offsets of its letters and the marks that follow it (`_` in `s e n d _ t o`).
    """
    gaps = [m.group() for m in _GAP.finditer(run)]
    counted = Counter(gaps)
    usual = min(counted, key=lambda gap: (-counted[gap], gap), default="")
    parted = False
    words: list[tuple[list[int], str]] = []
    letters: list[int] = []
    at = 0
    for letter, gap in zip(_GAP.split(run), [*gaps, ""], strict=True):
        if letter:
            letters.append(at)
        at += len(letter) + len(gap)
        if gap != usual and letters:
            marks = gap.replace(usual, "").strip()
            parted = parted or bool(gap and not marks)
            words.append((letters, marks))
            letters = []
    return usual, parted, words


def _join_run(run: str) -> tuple[str, list[tuple[int, str]]]:
    """The usual gap of `run`; (offset in it, word and what follows it) of its words."""
    out: list[tuple[int, str]] = []
    usual, parted, words = _words_of_run(run)
    for word, marks in words:
        letters = "".join(run[i] for i in word)
        whole = letters in known_words() or (parted and len(letters) <= LONGEST_WORD)
        begun = 0
        for part in [letters] if whole else segment(letters):
            out.append((word[begun], part + " "))
            begun += len(part)
        if marks:
            out[-1] = out[-1][0], out[-1][1][:-1] + marks
    return usual, out


def _marks_beside(folded: str, begin: int, start: int, end: int) -> tuple[int, int]:
    """`start` and `end` moved out over marks that stand beside the run, not before `begin`."""
    low = max(begin, start - MARKS_REACH)
    before = _MARKS_BEFORE.search(folded, low, start)
    after = _MARKS_AFTER.match(folded, end)
    return before.start() if before else start, after.end() if after else end


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
        usual, joined = _join_run(folded[start:end])
        low, high = _marks_beside(folded, at, start, end)
        marks = folded[low:start].replace(usual, "").strip() if usual else ""
        parts.append(f"{folded[at:low]} {marks}")
        pieces.append((length, at, start + 1))
        length += len(parts[-1])
        for index, (offset, word) in enumerate(joined):
            stop = start + joined[index + 1][0] if index + 1 < len(joined) else high
            pieces.append((length, start + offset, stop))
            parts.append(word)
            length += len(word)
        marks = folded[end:high].replace(usual, "").strip() if usual else ""
        parts.append(f"{marks} ")
        length += len(marks) + 1
        at = high
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
