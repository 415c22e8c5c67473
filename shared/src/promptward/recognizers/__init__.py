"""Recognizers: personal data and secrets found by pattern, validator and context.

A recognizer is data (`model.Recognizer`); `RecognizerSet` compiles any number of them and is the
only way patterns reach a text. What is done with a match belongs to `operators`.
"""

from __future__ import annotations

from promptward.recognizers.catalogue import CATALOGUE, GROUPS, expand, recognizers_for
from promptward.recognizers.matcher import RecognizerSet
from promptward.recognizers.model import (
    CONTEXT_CHARS,
    DEFAULT_MIN_SCORE,
    Anywhere,
    Digits,
    Literals,
    Match,
    Recognizer,
)
from promptward.recognizers.user import VALIDATORS, ValidatorName, user_faults, user_recognizer

__all__ = [
    "CATALOGUE",
    "CONTEXT_CHARS",
    "DEFAULT_MIN_SCORE",
    "GROUPS",
    "VALIDATORS",
    "Anywhere",
    "Digits",
    "Literals",
    "Match",
    "Recognizer",
    "RecognizerSet",
    "ValidatorName",
    "expand",
    "recognizers_for",
    "user_faults",
    "user_recognizer",
]
