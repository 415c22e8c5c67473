"""What a recognizer is: a pattern with an anchor, a validator and words that decide around it.

Invariants: immutable; independent of every other recognizer; a recognizer never sees more of a
text than its match, one neighbour on each side (`not_before`, `not_after`, `followed_by`) and
`CONTEXT_CHARS` to the left, which is what lets the same code work on streams.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from promptward.values import value_object

# Presidio's default context is 5 words before; 48 code points hold about eight English words.
CONTEXT_CHARS = 48
# The score at which a match counts unless the policy says otherwise.
DEFAULT_MIN_SCORE = 0.5

Validator = Callable[[str], bool | float]


class Match(NamedTuple):
    """A recognised span.

    Attributes:
        entity: for example `EMAIL_ADDRESS`.
        start: code point offset of the first character.
        end: code point offset after the last character.
        score: 0..1, higher is surer.
        recognizer: id of the recognizer.
    """

    entity: str
    start: int
    end: int
    score: float
    recognizer: str


# `new_match(Match, fields)` is `Match(*fields)` at a third of the cost: the class's own maker is
# a Python function.
new_match = tuple.__new__


@value_object(frozen=True, slots=True)
class Literals:
    """Every match contains one of these strings, or has it shortly before.

    Attributes:
        values: case-sensitive, unless `fold`; then lower-case.
        lead: the most characters a match can have before the literal.
        lead_class: class those characters are of (RE2 syntax); empty for any.
        trail: when the literal stands before the match: the most characters from the literal's
            beginning to the match's, at most `CONTEXT_CHARS`.
        before: pattern of one length (RE2 syntax) that stands directly before the literal.
        after: pattern (RE2 syntax) that stands directly after one such literal of every match.
        fold: compare without regard to (ASCII) case; `after` is then compared with lower case.
    """

    values: tuple[str, ...]
    lead: int = 0
    trail: int = 0
    lead_class: str = ""
    before: str = ""
    after: str = ""
    fold: bool = False


@value_object(frozen=True, slots=True)
class Digits:
    """Every match has a digit among its first 16 characters, most often as its first.

    No word character may come before the match. One that needs a context word or a label to count
    has four digits with at most three of ` .-/()` and U+00A0 between two, of which the first
    comes 32 characters after the beginning at most, and at most four letters after that of its
    word.

    Attributes:
        labels: lower-case words one of which `followed_by` needs, two characters at most after
            the match, which ends with a digit.
    """

    labels: tuple[str, ...] = ()


@value_object(frozen=True, slots=True)
class Anywhere:
    """No cheap anchor: the pattern is tried on the whole text."""


Anchor = Literals | Digits | Anywhere

NOT_WORD = "[0-9A-Za-z_]"


@value_object(frozen=True, slots=True)
class Recognizer:
    """One way to recognise one entity.

    Attributes:
        id: unique, snake_case.
        entity: entity name, Presidio's where it has one.
        pattern: RE2 syntax with bounded repeats (see `syntax`).
        score: score of a match the validator accepts, without context.
        anchor: what every match contains; the gate that keeps clean text cheap.
        validate: sees the matched text; False rejects it, True keeps `score`, a number lowers
            the score to it.
        context: lower-case words or phrases that, to the left, raise the score to
            `context_score`. A Latin word must begin a word; it may be a stem.
        context_score: see `context`.
        denial: lower-case words or phrases that, nearer on the left than any context word, veto
            the match.
        not_before: class of one character that may not come directly before the match.
        not_after: pattern (RE2 syntax) that may not come directly after the match.
        followed_by: pattern that must come directly after the match; empty for anything.
        preceded_by: pattern that must come directly before the match, inside `CONTEXT_CHARS`,
            matched without regard to case; empty for anything.
    """

    id: str
    entity: str
    pattern: str
    score: float
    anchor: Anchor
    validate: Validator | None = None
    context: tuple[str, ...] = ()
    context_score: float = 0.85
    denial: tuple[str, ...] = ()
    not_before: str = NOT_WORD
    not_after: str = NOT_WORD
    followed_by: str = ""
    preceded_by: str = ""
