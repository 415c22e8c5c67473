"""Letters that stand apart (`i g n o r e`, `i-g-n-o-r-e`) and words that are cut (`ig-nore`).

Invariants: linear time (a run of letters is put together up to `MAX_RUN` characters); the undone
text keeps its origin.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate, repeat
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
_ALPHABET = f"{ascii_lowercase}{digits}"
_SPACED = re.compile(r"[a-z0-9](?:[\t\n -/:-@\[-`{-~]{1,6}[a-z0-9]){4,}")
_GAP = re.compile(r"[^a-z0-9]+")
LONGEST_GAP = 6  # characters between two such letters
FEW_GAPS = 8  # different ones up to which counting one after the other is quicker
# Bytes by what they are to `_SPACED`: `x` for a letter or digit, a space for what may be in a gap.
_KINDS = b"".join(
    b"x" if re.match(b"[a-z0-9]", one) else b" " if re.match(rb"[\t\n -/:-@\[-`{-~]", one) else b"."
    for one in map(bytes, zip(range(256)))
)
_ALONE = re.compile(rb" x(?: {1,6}x){2,}(?= )")
_JOINTS = re.compile(r"[a-z]{1,8}(?:[-_.*~^`\"|+=][a-z]{1,8}){1,12}")
LONGEST_PIECE = 8  # letters of such a word between two marks
_MARK = re.compile(r"[-_.*~^`\"|+=](?<=[a-z].)(?=[a-z])")  # begins with what is found quickly
_MARKS = b'-_.*~^`"|+='
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
def _longest() -> int:
    return max(map(len, _pieces_of_words()))


@cache
def _words_by_head() -> tuple[dict[str, tuple[tuple[int, ...], bool]], dict[str, tuple[int, ...]]]:
    """What stands where a known word begins.

    Returns:
        three letters → (sizes of the words of two or three with which they begin, whether longer
        words begin with them); four letters → sizes of the longer words that begin with them.
    """
    short: dict[str, set[int]] = {}
    longer: dict[str, set[int]] = {}
    for word in _pieces_of_words():
        if len(word) > 3:
            longer.setdefault(word[:4], set()).add(len(word))
        elif len(word) > 1:
            for last in (*_ALPHABET, "") if len(word) == 2 else ("",):
                short.setdefault(word + last, set()).add(len(word))
    more = frozenset(head[:3] for head in longer)
    heads = {
        head: (tuple(sorted(short.get(head, ()))), head in more) for head in short.keys() | more
    }
    return heads, {head: tuple(sorted(found)) for head, found in longer.items()}


def _best_cut(letters: str) -> list[int]:
    """For every end in `letters` the size of the last word of the best cut up to there."""
    size = len(letters)
    known = _pieces_of_words()
    heads, longer = _words_by_head()
    # the cost of the best cut of letters[:i]; of two cuts that cost the same the one with the
    # shorter last word is taken; past the end nothing costs less than nothing
    cost = [*range(0, UNKNOWN_LETTER * (size + 1), UNKNOWN_LETTER), *repeat(0, _longest())]
    last = [1] * len(cost)
    here = 0
    for at in range(size):
        if head := heads.get(letters[at : at + 3]):
            for length in head[0]:
                if here < cost[at + length]:
                    cost[at + length], last[at + length] = here + KNOWN_WORD, length
            if head[1]:
                for length in longer.get(letters[at : at + 4], ()):
                    if here < cost[at + length] and letters[at : at + length] in known:
                        cost[at + length], last[at + length] = here + KNOWN_WORD, length
        here += UNKNOWN_LETTER
        if here <= cost[at + 1]:
            cost[at + 1], last[at + 1] = here, 1
        else:
            here = cost[at + 1]
    return last


def segment(letters: str) -> list[str]:
    """`letters` cut into known words, fewest unknown letters first (dynamic programming)."""
    size = len(letters)
    if size < 3:  # whether two letters are a word or not, they are one
        return [letters] * bool(size)
    last = _best_cut(letters)
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


def _apart(run: str) -> tuple[Sequence[str], Sequence[str], Sequence[int]]:
    """The gaps of a run, its letters and their offsets."""
    if run[::2].isalnum() and not _GAP.sub("", run[1::2]):  # one character between any two
        return run[1::2], run[::2], range(0, len(run), 2)
    gaps, letters = _GAP.findall(run), _GAP.split(run)
    steps = map(int.__add__, map(len, letters), map(len, gaps))
    return gaps, letters, [0, *accumulate(steps)]


def _words_of_run(run: str) -> tuple[str, bool, list[tuple[str, Sequence[int], str]]]:
    """How `run` spells words: its usual gap, whether wider gaps part the words, and the words.

    A word is its letters, their offsets and the marks that follow it (`_` in `s e n d _ t o`).
    """
    gaps, letters, places = _apart(run)
    kinds = frozenset(gaps)
    if len(kinds) < 2:  # nothing parts the words
        return "".join(kinds), False, [("".join(letters), places, "")] if gaps else []
    counted = {gap: gaps.count(gap) for gap in kinds} if len(kinds) <= FEW_GAPS else Counter(gaps)
    most = max(counted.values())
    usual = min([gap for gap, count in counted.items() if count == most])
    parted = False
    words: list[tuple[str, Sequence[int], str]] = []
    begun = 0
    for index in [*[at for at, gap in enumerate(gaps) if gap != usual], len(gaps)]:
        if word := "".join(letters[begun : index + 1]):
            gap = gaps[index] if index < len(gaps) else ""
            marks = gap.replace(usual, "").strip()
            parted = parted or bool(gap and not marks)
            words.append((word, places[begun : index + 1], marks))
            begun = index + 1
    return usual, parted, words


def _join_run(run: str) -> tuple[str, list[tuple[int, str]]]:
    """The usual gap of `run`; (offset in it, word and what follows it) of its words."""
    out: list[tuple[int, str]] = []
    usual, parted, words = _words_of_run(run)
    known = known_words()
    for letters, places, marks in words:
        whole = letters in known or (parted and len(letters) <= LONGEST_WORD)
        parts = [letters] if whole else segment(letters)
        begun = 0
        for part in parts:
            out.append((places[begun], part + " "))
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


def _runs(folded: str) -> Iterator[re.Match[str]]:
    """The matches of `_SPACED`, tried only around three letters or digits that stand alone."""
    # as bytes, `x` for a letter or digit and a space for what may stand between; what is outside
    # ASCII may not, but reads `?` here, so that more is tried rather than less
    marked = folded.encode("ascii", "replace").translate(_KINDS)
    done = 0
    for alone in _ALONE.finditer(marked):
        low = max(done, alone.start() - LONGEST_GAP)
        for match in _SPACED.finditer(folded, low, alone.end() + LONGEST_GAP + 1):
            done = match.end()
            yield match


def may_be_spaced(words: frozenset[str]) -> bool:
    """Whether enough of the distinct `words` of a text are single letters for it to spell words."""
    return len(words & _LETTERS) >= MIN_SINGLE_LETTERS


def unspace(folded: str, words: frozenset[str]) -> tuple[str, Pieced] | None:
    """`folded` with letters that stand alone joined to words, and its origin."""
    if not may_be_spaced(words):
        return None
    parts: list[str] = []
    pieces: list[tuple[int, int, int]] = []
    known: dict[str, tuple[str, list[tuple[int, str]]]] = {}  # tables repeat their rows
    at = length = 0
    for match in _runs(folded):
        start, end = _letters_alone(folded, match.start(), match.end())
        if not start < end:
            continue
        run = folded[start:end]
        if run not in known:
            known[run] = _join_run(run)
        usual, joined = known[run]
        low, high = _marks_beside(folded, at, start, end)
        marks = folded[low:start].replace(usual, "").strip() if usual else ""
        parts.append(f"{folded[at:low]} {marks}")
        pieces.append((length, at, start + 1))
        length += len(parts[-1])
        stops = [start + offset for offset, _ in joined[1:]]
        for (offset, word), stop in zip(joined, [*stops, high], strict=False):
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
def fragments() -> frozenset[str]:
    """Beginnings and ends of keywords that are no words themselves."""
    known = known_words()
    cut = {w[:i] for w in strong_words() for i in range(2, len(w))}
    cut |= {w[i:] for w in strong_words() for i in range(1, len(w) - 1)}
    return frozenset(cut - known)


def _jointed(folded: str) -> Iterator[re.Match[str]]:
    """The matches of `_JOINTS` that may be keywords, tried only around marks inside words."""
    ends = _ends_of_keywords()
    done = 0
    for mark in _MARK.finditer(folded):
        at = mark.start()
        if at < done:
            continue
        low = max(done, at - LONGEST_PIECE)
        start = low + len(folded[low:at].rstrip(ascii_lowercase))
        if start < at and (match := _JOINTS.match(folded, start)):
            done = match.end()
            if folded[start] + folded[done - 1] in ends:
                yield match


@cache
def _ends_of_keywords() -> frozenset[str]:
    return frozenset(word[0] + word[-1] for word in strong_words())


def unjoint(folded: str, words: frozenset[str]) -> tuple[str, Pieced] | None:
    """`folded` without marks inside words (`ig-nore`, `p*rompt`), if keywords come to light."""
    if words.isdisjoint(fragments()):
        return None
    strong = strong_words()
    parts: list[str] = []
    pieces: list[tuple[int, int, int]] = []
    at = length = 0
    for match in _jointed(folded):
        word = match.group().encode().translate(None, _MARKS).decode()
        if word not in strong or word in words:
            continue
        start, end = match.span()
        parts += (folded[at:start], word)
        pieces += ((length, at, start), (length + start - at, start, end))
        length += start - at + len(word)
        at = end
    if not parts:
        return None
    pieces.append((length, at, len(folded)))
    whole = "".join((*parts, folded[at:]))
    return whole, Pieced(pieces, len(whole))
