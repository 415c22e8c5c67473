"""One recognizer, compiled: its exact pattern, its viable-prefix pattern and its scoring.

Invariants: everything here depends only on the match, its direct neighbours and `CONTEXT_CHARS`
to the left. Boundaries are ASCII (`re.ASCII`), as in RE2, so that a number between Chinese
characters is found.
"""

from __future__ import annotations

import re

from promptward.recognizers.cue_words import Window, cues_of
from promptward.recognizers.model import CONTEXT_CHARS, Recognizer
from promptward.recognizers.partial import head_classes, head_source, prefix_source
from promptward.recognizers.syntax import (
    Alternation,
    Boundary,
    Chars,
    Concat,
    Node,
    Repeat,
    first_chars,
    max_length,
    min_length,
    parse,
    reverse,
    to_source,
)

WORD_CHARS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")

BLANKS = " \n"  # what most often stands between words


def _may_hold_a_blank(node: Node) -> bool:
    match node:
        case Chars(ranges):
            return any(low <= ord(blank) <= high for low, high in ranges for blank in BLANKS)
        case Boundary():
            return False
        case Concat(items) | Alternation(items):
            return any(map(_may_hold_a_blank, items))
        case Repeat(item, _, _, _):
            return _may_hold_a_blank(item)


class CompiledRecognizer:
    """Exact and viable-prefix matchers of one recognizer.

    Attributes:
        body: matches the entity without looking at its neighbours; often quicker to say no.
        exact: matches the entity with its boundaries.
        partial_source: of a pattern that matches a viable prefix that reaches the end of the
            buffer.
        max_length: characters in the longest match.
        reach: `max_length` and the longest look past its end.
        first: ranges of possible first characters.
        superset: tree of a pattern that matches wherever the recognizer does.
        spaced: whether a match, or what is looked at after it, can hold a blank (see `BLANKS`).
        starts_words: whether no word character may come before a match.
    """

    __slots__ = (
        "_partial",
        "body",
        "context",
        "denial",
        "entity",
        "exact",
        "first",
        "id",
        "max_length",
        "partial_source",
        "preceded",
        "reach",
        "spaced",
        "spec",
        "starts_words",
        "superset",
    )

    def __init__(self, spec: Recognizer) -> None:
        body = parse(spec.pattern)
        prelude = parse(f"(?i){spec.preceded_by}")
        self.superset = Concat((prelude, body, parse(spec.followed_by)))
        self.body = re.compile(to_source(body), re.ASCII)
        if min_length(body) == 0:
            raise ValueError(f"{spec.id}: the pattern matches the empty string")
        forbidden, required = parse(spec.not_after), parse(spec.followed_by)
        before = f"(?<!{to_source(parse(spec.not_before))})" if spec.not_before else ""
        after = f"(?!{to_source(forbidden)})" if spec.not_after else ""
        after += f"(?={to_source(required)})" if spec.followed_by else ""
        self.spec = spec
        self.id = spec.id
        self.entity = spec.entity
        # Most places where something has to come before fail at its last characters.
        last = "".join(reversed(head_classes(reverse(prelude))))
        last = f"(?<={last})" if last else ""
        self.exact = re.compile(f"{last}{before}(?:{to_source(body)}){after}", re.ASCII)
        self.max_length = max_length(body)
        # What follows the match decides too: prefixes of "match, then forbidden or required".
        tails = [Repeat(tail, 0, 1, False) for tail in (required, forbidden) if max_length(tail)]
        viable = "|".join(prefix_source(Concat((body, tail))) for tail in tails)
        viable = viable or prefix_source(body)
        self.partial_source = f"{before}(?={head_source(body)})(?:{viable})\\Z"
        self._partial: re.Pattern[str] | None = None
        self.spaced = any(_may_hold_a_blank(part) for part in (body, forbidden, required))
        self.reach = self.max_length + max(max_length(forbidden), max_length(required))
        self.first = first_chars(body)
        bad = first_chars(parse(spec.not_before))
        self.starts_words = all(any(a <= ord(c) <= b for a, b in bad) for c in WORD_CHARS)
        # Backwards, so that it is tried at one place: the match's beginning.
        self.preceded = (
            re.compile(to_source(reverse(prelude)), re.ASCII) if spec.preceded_by else None
        )
        self.context = cues_of(spec.context)
        self.denial = cues_of(spec.denial)

    @property
    def partial(self) -> re.Pattern[str]:
        """`partial_source`, compiled when it is first needed: most are not, even by streams."""
        if self._partial is None:
            self._partial = re.compile(self.partial_source, re.ASCII)
        return self._partial

    def score(self, text: str, start: int, end: int, minimum: float) -> float:
        """0..1 for the exact match `text[start:end]`; 0.0 when rejected or under `minimum`."""
        helps = -1
        if self.context is not None or self.denial is not None:
            window = Window(text, start, CONTEXT_CHARS)
            if self.context is not None:
                helps = self.context.last_in(window)
            # A word that begins after the last helpful one is nearer to the match.
            if self.denial is not None and self.denial.stand_in(window, max(window.low, helps)):
                return 0.0
        return self.unvetoed(text, start, end, minimum, helped=helps >= 0)

    def unvetoed(self, text: str, start: int, end: int, minimum: float, *, helped: bool) -> float:
        """As `score`, of a match that no word vetoes.

        Args:
            helped: whether a context word stands before it.
        """
        spec = self.spec
        score = spec.score
        if score < minimum and not helped:
            return 0.0
        if self.preceded is not None and not self._is_preceded(text, start):
            return 0.0
        if spec.validate is not None:
            verdict = spec.validate(text[start:end])
            if verdict is False:
                return 0.0
            if verdict is not True:
                score = min(score, float(verdict))
        if helped:
            score = max(score, spec.context_score)
        return score if score >= minimum else 0.0

    def _is_preceded(self, text: str, start: int) -> bool:
        assert self.preceded is not None
        before = text[max(0, start - CONTEXT_CHARS) : start]
        return self.preceded.match(before[::-1]) is not None
