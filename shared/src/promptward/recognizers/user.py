"""Recognizers written in a policy: a pattern, a named validator, context words.

Linted when the policy loads, so that no operator can slow a gateway down by accident: RE2 syntax,
bounded repeats, a bounded match and no pattern that backtracks (see `ambiguity`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from promptward.errors import PolicyError
from promptward.recognizers import ambiguity
from promptward.recognizers.checksums import alnum_of, digits_of, luhn, mod97, verhoeff
from promptward.recognizers.model import Anywhere, Recognizer, Validator
from promptward.recognizers.secrets import looks_random
from promptward.recognizers.syntax import max_length, min_length, parse
from promptward.spelling import did_you_mean

# A match longer than this has no place in a policy; the stream window has to hold it.
MAX_USER_LENGTH = 1000
_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")


def _rotated(value: str) -> bool:
    compact = alnum_of(value)
    return len(compact) > 4 and mod97(compact[4:] + compact[:4])


ValidatorName = Literal["luhn", "iban", "mod97", "verhoeff", "entropy"]  # what a policy may name
VALIDATORS: Mapping[str, Validator] = MappingProxyType(
    {
        "luhn": lambda value: bool(digits_of(value)) and luhn(digits_of(value)),
        "iban": _rotated,
        "mod97": lambda value: bool(alnum_of(value)) and mod97(alnum_of(value)),
        "verhoeff": lambda value: bool(digits_of(value)) and verhoeff(digits_of(value)),
        "entropy": looks_random,
    }
)


def user_recognizer(
    id: str,  # noqa: A002 - the policy's own key
    entity: str,
    pattern: str,
    *,
    validator: str | None = None,
    context: Sequence[str] = (),
    score: float = 0.85,
) -> Recognizer:
    """A recognizer out of a policy.

    Args:
        id: unique name, letters, digits and `_`.
        entity: what its matches are called, for example `EMPLOYEE_ID`.
        pattern: RE2 syntax, every repeat bounded, at most `MAX_USER_LENGTH` characters long.
        validator: a name in `VALIDATORS`, or None.
        context: words; when given, a match counts only with one of them to its left.
        score: score of a match that counts, 0..1.

    Raises:
        PolicyError: naming everything that is wrong with it.
    """
    faults = user_faults(id, entity, pattern, validator, context, score)
    if problems := [f"recognizer {id!r}: {where}: {what}" for where, what in faults]:
        raise PolicyError(problems)
    return Recognizer(
        id=id,
        entity=entity,
        pattern=pattern,
        score=0.0 if context else score,
        anchor=Anywhere(),
        validate=None if validator is None else VALIDATORS[validator],
        context=tuple(word.lower() for word in context),
        context_score=score,
    )


def user_faults(
    id: str,  # noqa: A002 - the policy's own key
    entity: str,
    pattern: str,
    validator: str | None,
    context: Sequence[str],
    score: float,
) -> Iterator[tuple[str, str]]:
    """Everything that is wrong with a recognizer: the name of an argument, what is wrong there.

    Args: see user_recognizer.
    """
    for where, value in (("id", id), ("entity", entity)):
        if _NAME.fullmatch(value) is None:
            yield where, "expected letters, digits and '_', at most 64, a letter first"
    if validator is not None and validator not in VALIDATORS:
        known = sorted(VALIDATORS)
        yield "validator", f"expected one of {', '.join(known)}{did_you_mean(validator, known)}"
    if not 0.0 < score <= 1.0:
        yield "score", "must be above 0 and at most 1"
    for index, word in enumerate(context):
        if not word.strip():
            yield f"context[{index}]", "is empty"
    for problem in _pattern_problems(pattern):
        yield "pattern", problem


def _pattern_problems(pattern: str) -> list[str]:
    try:
        node = parse(pattern)
    except PolicyError as error:
        return list(error.problems)
    if min_length(node) == 0:
        return ["the pattern matches the empty string"]
    if max_length(node) > MAX_USER_LENGTH:
        return [f"the pattern can match {max_length(node)} characters; at most {MAX_USER_LENGTH}"]
    slow = ambiguity.problem(node)
    return [f"the pattern {pattern!r} can take long: {slow}"] if slow else []
