"""Letter tricks: leetspeak, spaced and dashed letters, shifted alphabets, reversed text, typos.

Each undoing is behind a gate that looks only at the distinct words, so ordinary text pays a few set
operations. Keywords come from `data/keywords.json`.
Invariants: linear time; every undone text keeps an origin, so a hit still points into the original.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from string import ascii_lowercase
from typing import cast

from promptward.injection.folding import load_data
from promptward.injection.lexicon import known_words, lexicon
from promptward.injection.origins import Pieced

# Words so common that several of them, disguised alike, are no accident either.
_LITTLE = frozenset(
    [
        "the",
        "and",
        "you",
        "your",
        "that",
        "this",
        "with",
        "what",
        "from",
        "are",
        "not",
        "have",
        "can",
        "all",
        "for",
        "will",
        "any",
        "must",
        "now",
    ]
)
MIN_LITTLE = 3
# Letters that seldom stand alone in ordinary text (a, i and the ends of contractions do).
_LETTERS = frozenset("bcefghjklnopqruvwxyz")
MIN_SINGLE_LETTERS = 3  # different letters that stand alone, from which a text may spell words
SHORTEST_TYPO, LONGEST_TYPO = 5, 14  # letters
# Digits and symbols read as letters (the common leetspeak alphabet); `1` is i, or else l.
LEET = str.maketrans("01345789@$!|+(€£", "oieastbgasiltcel")
LEET_L = str.maketrans("01345789@$!|+(€£", "oleastbgaslltcel")
_LEET_WORD = re.compile(r"[a-z0-9@$!|+(€£]{2,}")
_SPACED = re.compile(r"[a-z0-9](?:[ \t\n.,_*|/+~:;=\-]{1,3}[a-z0-9]){4,}(?![a-z0-9])")
_JOINTS = re.compile(r"[a-z]{1,8}(?:[-_.*~^`\"|+=][a-z]{1,8}){1,12}")
_MARKS = re.compile(r"[-_.*~^'`\"/|+=]")


@cache
def _keywords(kind: str) -> tuple[str, ...]:
    return tuple(cast(list[str], load_data("keywords")[kind]))


@cache
def strong_words() -> frozenset[str]:
    """English words whose presence in a disguise is never an accident."""
    return frozenset(_keywords("strong"))


# --- shifted and reversed alphabets -------------------------------------------------------------


def _shift_table(shift: int) -> dict[int, int]:
    turned = ascii_lowercase[shift:] + ascii_lowercase[:shift]
    return str.maketrans(ascii_lowercase, turned)


@cache
def _shifted() -> tuple[dict[str, int], dict[str, int]]:
    """(disguised keyword → shift that undoes it, the same for little words), every shift."""
    real = known_words() | strong_words()
    telling: dict[str, int] = {}
    little: dict[str, int] = {}
    for shift in range(1, 26):
        hide = _shift_table(26 - shift)
        for words, out in ((strong_words(), telling), (_LITTLE, little)):
            for word in sorted(words):
                if (turned := word.translate(hide)) not in real:
                    out.setdefault(turned, shift)
    return telling, little


@cache
def _reversed() -> tuple[frozenset[str], frozenset[str]]:
    """(keywords backwards, little words backwards)."""
    real = known_words() | strong_words()
    return (
        frozenset(w[::-1] for w in strong_words()) - real,
        frozenset(w[::-1] for w in _LITTLE) - real,
    )


def _shift_of(words: frozenset[str]) -> int:
    """The shift that undoes a shifted alphabet in `words`; 0 when there is none."""
    telling, little = _shifted()
    found = [telling[w] for w in words if w in telling]
    weak = [little[w] for w in words if w in little]
    if not found and len(weak) < MIN_LITTLE:
        return 0
    votes = sorted(found * MIN_LITTLE + weak)
    best = max(set(votes), key=lambda shift: (votes.count(shift), -shift))
    return best if votes.count(best) >= MIN_LITTLE else 0


def unshift(folded: str, words: frozenset[str]) -> str | None:
    """`folded` with its alphabet shifted back, if disguised words are among `words`."""
    shift = _shift_of(words) if words else 0
    return folded.translate(_shift_table(shift)) if shift else None


def unreverse(folded: str, words: frozenset[str]) -> str | None:
    """`folded` backwards, if reversed words are among `words`."""
    telling, little = _reversed()
    if words.isdisjoint(telling) and len(words & little) < MIN_LITTLE:
        return None
    return folded[::-1]


# --- leetspeak ----------------------------------------------------------------------------------


def _unleet_word(word: str) -> str:
    if word.isalpha() or word.isdigit() or not any(map(str.isalpha, word)):
        return word
    tail = word.rstrip("!|+(") if word[-1] in "!|+(" else word
    known = lexicon().vocabulary
    for table in (LEET, LEET_L):
        for candidate in (word.translate(table), tail.translate(table)):
            if candidate in known:
                return candidate
    return tail.translate(LEET)


def unleet(folded: str, words: frozenset[str]) -> str | None:
    """`folded` with digits in words read as letters, if keywords come to light."""
    mixed = [w for w in words if not w.isalpha() and not w.isdigit()]
    if not mixed:
        return None
    read = frozenset(map(_unleet_word, mixed))
    if read.isdisjoint(strong_words()) and len(read & _LITTLE) < MIN_LITTLE:
        return None
    return _LEET_WORD.sub(lambda m: _unleet_word(m.group()).ljust(len(m.group())), folded)


# --- spaced, dashed and split letters -----------------------------------------------------------


_GLUE = frozenset("a i to me my of in is it an do be as at by or we us if on so no up he".split())


@cache
def _pieces_of_words() -> tuple[frozenset[str], int]:
    words = {w for w in known_words() if w.isascii() and w.isalpha() and len(w) > 3}
    words |= strong_words() | _LITTLE | _GLUE
    return frozenset(words), max(map(len, words))


def segment(letters: str) -> list[str]:
    """`letters` cut into known words, fewest unknown letters first (dynamic programming)."""
    known, longest = _pieces_of_words()
    size = len(letters)
    # cost and length of the last word of the best cut of letters[:i]; unknown letters cost most
    cost = [0.0] * (size + 1)
    last = [1] * (size + 1)
    for end in range(1, size + 1):
        cost[end] = cost[end - 1] + 3.0
        last[end] = 1
        for length in range(2, min(longest, end) + 1):
            if letters[end - length : end] in known and cost[end - length] + 1.0 < cost[end]:
                cost[end], last[end] = cost[end - length] + 1.0, length
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


MAX_RUN = 2_000  # letters of one spaced run that are put together


def _join_run(run: str) -> list[tuple[int, str]]:
    """(offset in `run`, word) of the words spelled by single letters in `run`."""
    gaps = [m.group() for m in re.finditer(r"[^a-z0-9]+", run)]
    usual = min(set(gaps), key=lambda g: (-gaps.count(g), g))
    places: list[list[int]] = [[]]
    at = 0
    for index, letter in enumerate(re.split(r"[^a-z0-9]+", run)):
        if index and gaps[index - 1] != usual:
            places.append([])
        places[-1].append(at)
        at += len(letter) + (len(gaps[index]) if index < len(gaps) else 0)
    out: list[tuple[int, str]] = []
    for word in places:
        letters = "".join(run[i] for i in word)
        begun = 0
        whole = letters in known_words() or (len(places) > 1 and len(letters) <= LONGEST_TYPO)
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
        start, end = match.start(), min(match.end(), match.start() + 3 * MAX_RUN)
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


# --- typos --------------------------------------------------------------------------------------


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
    real = known_words() | frozenset(_keywords("not_typos"))
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
        if _close(word, keyword):
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
        fits = SHORTEST_TYPO <= len(word) <= LONGEST_TYPO and word not in index.real
        if fits and (meant := _meant(word, index)):
            out[word] = meant
    return out
