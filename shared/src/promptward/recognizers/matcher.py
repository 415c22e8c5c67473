"""The one matcher: recognizers compiled once, run on whole texts and on the tail of a stream.

Every pattern of the project that finds entities is reached through `RecognizerSet`, so that a
faster engine can stand in front of it (see `accelerated`) without any recognizer knowing.

How a text is searched: each recognizer is tried left to right; after an accepted match it goes on
at its end, after a rejected one at the next character, so nothing a validator rejects can hide a
match. Overlaps between recognizers are resolved by: higher score, then longer, then earlier, then
the recognizer's id.

Invariant: `find` equals `find_everywhere`, which uses no anchor (property-tested).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType

from promptward.recognizers.accelerated import re2_gate
from promptward.recognizers.compiled import CompiledRecognizer
from promptward.recognizers.digits import DigitScanner
from promptward.recognizers.literals import LiteralScanner
from promptward.recognizers.model import (
    DEFAULT_MIN_SCORE,
    Anywhere,
    Digits,
    Literals,
    Match,
    Recognizer,
)
from promptward.recognizers.viable import ViablePrefixes

# Compiling all of them takes a quarter of a second; a reloaded policy mostly asks for the same.
_compiled = lru_cache(maxsize=1024)(CompiledRecognizer)


# So does building these; they keep nothing of the texts they read.
@lru_cache(maxsize=8)
def _scanners(
    scored: tuple[tuple[CompiledRecognizer, float], ...],
) -> tuple[DigitScanner, LiteralScanner, ViablePrefixes]:
    return (
        DigitScanner([s for s in scored if isinstance(s[0].spec.anchor, Digits)]),
        LiteralScanner([s for s in scored if isinstance(s[0].spec.anchor, Literals)]),
        ViablePrefixes(tuple(item for item, _ in scored)),
    )


_NO_MINIMA: Mapping[str, float] = MappingProxyType({})


class RecognizerSet:
    """Recognizers compiled together.

    Args:
        recognizers: any number, ids unique.
        min_scores: entity -> least score that counts, 0..1; others use `DEFAULT_MIN_SCORE`.
        accelerate: use google-re2 when it is installed; the results are the same.

    Attributes:
        max_reach: characters in the longest match of any recognizer and its look past the end.
    """

    def __init__(
        self,
        recognizers: Sequence[Recognizer],
        *,
        min_scores: Mapping[str, float] = _NO_MINIMA,
        accelerate: bool = True,
    ) -> None:
        self._compiled = tuple(_compiled(spec) for spec in recognizers)
        if len({item.id for item in self._compiled}) != len(self._compiled):
            raise ValueError("recognizer ids must be unique")
        self._minimum = {
            item.id: min_scores.get(item.entity, DEFAULT_MIN_SCORE) for item in self._compiled
        }
        self.entities = frozenset(item.entity for item in self._compiled)
        self.max_reach = max((item.reach for item in self._compiled), default=0)
        scored = tuple((item, self._minimum[item.id]) for item in self._compiled)
        by_literal = [s for s in scored if isinstance(s[0].spec.anchor, Literals)]
        self._digits, self._literals, self._prefixes = _scanners(scored)
        # (digits would make its states explode, and are found as quickly without)
        self._gate = re2_gate([s[0].superset for s in by_literal]) if accelerate else None
        self._anywhere = tuple(c for c in self._compiled if isinstance(c.spec.anchor, Anywhere))

    def find(self, text: str, known: Sequence[Match] = ()) -> list[Match]:
        """The matches in `text`, sorted, not overlapping.

        Args:
            known: matches that somebody else found; they compete like any other.
        """
        # (pays for texts of any length, measured from 16 characters on)
        allowed = self._gate(text) if self._gate is not None else None
        return resolve([*self._candidates(text, 0, allowed), *known])

    def find_everywhere(self, text: str) -> list[Match]:
        """The same as `find` without any anchor: the slow reference."""
        found: list[Match] = []
        for item in self._compiled:
            self._scan(item, text, 0, found)
        return resolve(found)

    def candidates(self, text: str, start: int) -> list[Match]:
        """Accepted matches that begin at `start` or later, overlapping, in no order."""
        return self._candidates(text, start, None)

    def _candidates(self, text: str, start: int, allowed: frozenset[int] | None) -> list[Match]:
        found: list[Match] = []
        if allowed is None or allowed:
            self._literals.scan(text, start, found, allowed)
        self._digits.scan(text, start, found)
        for item in self._anywhere:
            # A pattern that begins with a class is skipped through quickly; a look at the
            # neighbour before it is not.
            if item.body.search(text, start) is not None:
                self._scan(item, text, start, found)
        return found

    def _scan(self, item: CompiledRecognizer, text: str, start: int, found: list[Match]) -> None:
        """Append the accepted matches of one recognizer, tried everywhere."""
        search, minimum = item.exact.search, self._minimum[item.id]
        at = start
        while (hit := search(text, at)) is not None:
            begin, end = hit.span()
            score = item.score(text, begin, end, minimum)
            if score > 0.0:
                found.append(Match(item.entity, begin, end, score, item.id))
                at = end
            else:
                at = begin + 1

    def hold_from(self, text: str, start: int) -> int:
        """The first place at or after `start` where a match may begin that needs more text.

        Returns:
            `len(text)` when nothing is pending.
        """
        return self._prefixes.first(text, start)


def resolve(candidates: Iterable[Match]) -> list[Match]:
    """Keep the best of what overlaps: higher score, longer, earlier, then the id."""
    pool = list(candidates)
    if len(pool) < 2:
        return pool
    pool.sort(key=_start)
    kept: list[Match] = []
    cluster: list[Match] = []
    end = -1
    for match in pool:
        if cluster and match.start >= end:
            kept.extend(_best(cluster))
            cluster = []
        cluster.append(match)
        end = match.end if len(cluster) == 1 else max(end, match.end)
    kept.extend(_best(cluster))
    return kept


_start = attrgetter("start")


def _rank(match: Match) -> tuple[float, int, int, str]:
    return (-match.score, match.start - match.end, match.start, match.recognizer)


def _best(cluster: list[Match]) -> list[Match]:
    """Greedy choice inside one group of matches that overlap, directly or through others."""
    if len(cluster) == 1:
        return cluster
    if len(cluster) == 2:
        one, other = cluster
        if one.score != other.score:
            return [one if one.score > other.score else other]
        return [min(cluster, key=_rank)]
    kept: list[Match] = []
    for match in sorted(cluster, key=_rank):
        at = bisect_left(kept, match.start, key=_start)
        clear_left = at == 0 or kept[at - 1].end <= match.start
        if clear_left and (at == len(kept) or kept[at].start >= match.end):
            kept.insert(at, match)
    return kept
