"""Long runs of token characters: what every key has in it and hardly any prose.

One look for such a run answers for all recognizers of keys at once.
"""

from __future__ import annotations

from typing import NamedTuple

from promptward.recognizers.syntax import (
    Alternation,
    Boundary,
    Chars,
    Concat,
    Node,
    Repeat,
    min_length,
)

# Characters of a run: those of the keys' own character classes.
_RUN = frozenset(map(ord, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz.~-"))
_TABLE = bytes(0x77 if code in _RUN else 0x20 for code in range(256))
_CHUNK = 65_536  # characters looked at together
_SHORT = 32  # characters of a text that is searched as quickly without
# Run lengths that are told apart: some words have 14 letters, hardly any has 20.
LEVELS = (14, 20)


class _Runs(NamedTuple):
    """What all matches of a node have at least.

    Attributes:
        pure: whether they have nothing but run characters.
        first: characters of the run they begin with.
        last: characters of the run they end with.
        longest: characters of their longest run.
    """

    pure: bool
    first: int
    last: int
    longest: int


def guaranteed_run(node: Node) -> int:
    """Characters of the longest run that every match has."""
    return _runs(node).longest


def _runs(node: Node) -> _Runs:
    match node:
        case Chars(ranges):
            pure = all(code in _RUN for low, high in ranges for code in range(low, high + 1))
            return _Runs(pure, *[int(pure)] * 3)
        case Boundary():
            return _Runs(True, 0, 0, 0)
        case Concat(items):
            runs = _Runs(True, 0, 0, 0)
            for item in items:
                runs = _joined(runs, _runs(item))
            return runs
        case Alternation(options):
            each = [_runs(option) for option in options]
            pure = all(runs.pure for runs in each)
            return _Runs(pure, *(min(values) for values in list(zip(*each, strict=True))[1:]))
        case Repeat(item, least, _, _):
            runs = _runs(item)
            if runs.pure:
                size = least * min_length(item)
                return _Runs(True, size, size, size)
            if not least:
                return _Runs(False, 0, 0, 0)
            return _joined(runs, runs) if least > 1 else runs


def _joined(a: _Runs, b: _Runs) -> _Runs:
    first = a.first + (b.first if a.pure else 0)
    last = b.last + (a.last if b.pure else 0)
    return _Runs(a.pure and b.pure, first, last, max(a.longest, b.longest, a.last + b.first))


def longest_run(text: str) -> int:
    """The greatest of `LEVELS` that a run of the text may reach, or 0."""
    if len(text) < _SHORT:
        return max((level for level in LEVELS if level <= len(text)), default=0)
    found = 0
    for low in range(0, len(text), _CHUNK):
        part = text[low : low + _CHUNK + LEVELS[-1]].encode("latin-1", "replace").translate(_TABLE)
        for level in LEVELS:
            if level > found:
                if b"w" * level not in part:
                    break
                found = level
        if found == LEVELS[-1]:
            break
    return found
