"""How numbers of national registers are declared: one builder and the date checks they share.

Scores, everywhere: a number whose shape and checksum leave hardly any doubt counts by itself
(0.6 and more); one that every tenth order number would pass (plain digits with a single check
digit) needs a word nearby, so it starts below the bar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from promptward.recognizers.checksums import alnum_of
from promptward.recognizers.model import Digits, Recognizer

ALONE = 0.6  # shape and checksum are enough
NEEDS_CONTEXT = 0.2
WITH_CONTEXT = 0.9

_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_day(month: int, day: int) -> bool:
    """Whether month 1..12 has that day (29 February always counts)."""
    return 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1]


def compact(check: Callable[[str], bool]) -> Callable[[str], bool]:
    """A check of the letters and digits only, upper-case."""
    return lambda value: check(alnum_of(value))


def register_number(
    entity: str,
    pattern: str,
    check: Callable[[str], bool] | None,
    *,
    context: Sequence[str],
    score: float = NEEDS_CONTEXT,
    variant: str = "",
) -> Recognizer:
    """A recognizer of numbers of one register.

    Args:
        entity: also the recognizer's id, lower-case, with `variant` appended.
        check: sees letters and digits only; None accepts every match.
        context: words that name the register, in the languages it is spoken of.
        score: without context.
    """
    return Recognizer(
        id=entity.lower() + (f"_{variant}" if variant else ""),
        entity=entity,
        pattern=pattern,
        score=score,
        anchor=Digits(),
        validate=None if check is None else compact(check),
        context=tuple(context),
        context_score=WITH_CONTEXT,
        not_before="[0-9A-Za-z_.-]",
        not_after="[0-9A-Za-z_]|[.-][0-9A-Za-z]",
    )
