"""Prompt-injection detection: normalisation, decoded views, rules and a small linear model.

Public API: `InjectionDetector`, its results, `DEFAULT_THRESHOLDS` and `RULES`. Pure and
deterministic: the same text scores the same on every gateway.
"""

from promptward.injection.conversation import folded_scores
from promptward.injection.detector import RULES, InjectionDetector
from promptward.injection.patterns import PatternRule
from promptward.injection.result import (
    DEFAULT_THRESHOLDS,
    InjectionHit,
    InjectionResult,
    Threshold,
)
from promptward.injection.rules import Rule

__all__ = [
    "DEFAULT_THRESHOLDS",
    "RULES",
    "InjectionDetector",
    "InjectionHit",
    "InjectionResult",
    "PatternRule",
    "Rule",
    "Threshold",
    "folded_scores",
]
