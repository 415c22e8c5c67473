"""Prompt-injection detection: normalisation, decoded views, rules and a small linear model.

Public API: `InjectionDetector`, its results, `DEFAULT_THRESHOLDS` and `RULES`. Pure and
deterministic: the same text scores the same on every gateway.
"""

from promptward.injection.detector import InjectionDetector
from promptward.injection.patterns import CODE_RULES, PATTERN_RULES, PatternRule
from promptward.injection.result import (
    DEFAULT_THRESHOLDS,
    InjectionHit,
    InjectionResult,
    Threshold,
)
from promptward.injection.rules import CONCEPT_RULES, Rule

RULES: tuple[Rule | PatternRule, ...] = (*CONCEPT_RULES, *PATTERN_RULES, *CODE_RULES.values())

__all__ = [
    "DEFAULT_THRESHOLDS",
    "RULES",
    "InjectionDetector",
    "InjectionHit",
    "InjectionResult",
    "PatternRule",
    "Rule",
    "Threshold",
]
