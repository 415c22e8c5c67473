"""Names matched with `*` and `?`, in linear time, decided when the policy is loaded.

Semantics: `*` matches any run of characters (also none, also `/`), `?` exactly one; every other
character is itself; the whole name must match. No character classes and no escapes: model, route
and tool names have no use for them, and what cannot be written cannot be misread.

Why not `fnmatch` or `re`: `a*b*c*d` translated to a regular expression backtracks in
O(length**stars); here each run between stars is searched once, left to right, which is correct
for `*` because the leftmost fit of a run leaves the most room for the next one.
"""

from __future__ import annotations

import string
from collections.abc import Iterable

# ASCII only: the full tables differ between the Unicode versions of CPython and Pyodide
_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_EDGE_WHITESPACE = " \t\r\n\f\v"


def fold(name: str) -> str:
    """`name` in ASCII lower case."""
    return name.translate(_FOLD)


def spellings(name: str) -> tuple[str, ...]:
    """How a lenient upstream might read `name`: any case, with or without surrounding space."""
    folded = fold(name)
    bare = folded.strip(_EDGE_WHITESPACE)
    return (folded,) if bare == folded else (folded, bare)


class GlobSet:
    """Whether a name matches any of some globs.

    Exact names, prefixes (`gpt-*`) and `*` are a set look-up and one `startswith`; only other
    shapes are tried one by one.

    Args:
        globs: patterns, each not empty.
        lenient: compare each of the name's `spellings`. Right for denials, where a spelling that
            the upstream treats alike must not slip by; wrong for grants.
    """

    __slots__ = ("_all", "_exact", "_lenient", "_others", "_prefixes")

    def __init__(self, globs: Iterable[str], *, lenient: bool = False) -> None:
        patterns = {fold(g) if lenient else g for g in globs}
        self._lenient = lenient
        self._all = "*" in patterns
        self._exact = frozenset(p for p in patterns if not is_wild(p))
        self._prefixes = tuple(sorted(p[:-1] for p in patterns if _is_prefix(p)))
        self._others = tuple(
            tuple(p.split("*")) for p in sorted(patterns) if is_wild(p) and not _is_prefix(p)
        )

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` matches one of the globs."""
        return self._all or self.matches_any(spellings(name) if self._lenient else (name,))

    def matches_any(self, names: Iterable[str]) -> bool:
        """Whether one of `names` matches; for a lenient set they are `spellings` already."""
        for name in names:
            if self._all or name in self._exact or name.startswith(self._prefixes):
                return True
            if self._others and any(_fits(runs, name) for runs in self._others):
                return True
        return False


def is_wild(pattern: str) -> bool:
    """Whether it can match more than one name."""
    return "*" in pattern or "?" in pattern


def _is_prefix(pattern: str) -> bool:
    return pattern.endswith("*") and not is_wild(pattern[:-1])


def _fits(runs: tuple[str, ...], name: str) -> bool:
    """Match `name` against the runs between stars: first and last anchored, the others in order."""
    first, last = runs[0], runs[-1]
    if len(runs) == 1:
        return len(name) == len(first) and _run_at(first, name, 0)
    end = len(name) - len(last)
    if end < len(first) or not _run_at(first, name, 0) or not _run_at(last, name, end):
        return False
    position = len(first)
    for run in runs[1:-1]:
        position = _find(run, name, position, end)
        if position < 0:
            return False
        position += len(run)
    return True


def _find(run: str, name: str, start: int, end: int) -> int:
    """Leftmost place in name[start:end] where `run` fits, or -1."""
    if "?" not in run:
        return name.find(run, start, end)
    for position in range(start, end - len(run) + 1):
        if _run_at(run, name, position):
            return position
    return -1


def _run_at(run: str, name: str, position: int) -> bool:
    if "?" not in run:
        return name.startswith(run, position)
    return all(
        r in ("?", c) for r, c in zip(run, name[position : position + len(run)], strict=False)
    )
