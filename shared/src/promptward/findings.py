"""Findings and coverage: what a check saw, and what was and was not looked at.

Invariants: neither ever holds matched text. A finding points at its place with a JSON pointer and
code-point offsets; coverage accounts for every part of the exchange, so that a part nobody looked
at can never read as clean.
"""

from __future__ import annotations

from enum import StrEnum

from promptward.values import value_object


class Effect(StrEnum):
    """What a finding did to the exchange."""

    BLOCK = "block"
    REDACT = "redact"
    FLAG = "flag"
    SHADOW = "shadow"  # would have blocked or redacted, had the rule been enforced


class Severity(StrEnum):
    """OCSF severity names, lower-cased (OCSF 1.3 `severity_id` 1..5)."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@value_object(frozen=True, slots=True)
class Span:
    """A half-open range of code points in the text at `pointer` (RFC 6901)."""

    pointer: str
    start: int
    end: int


@value_object(frozen=True, slots=True)
class Finding:
    """One thing one rule of one check found.

    Attributes:
        check: id of the check in the policy.
        rule: id of the rule, recognizer or entity that fired.
        category: stable name of the risk, for example `prompt_injection`.
        severity: OCSF severity.
        score: 0..1, higher is riskier.
        effect: what was done about it.
        span: where, when it has a place.
        taxonomy: ids such as `LLM01`, `API4`, `AML.T0051`.
    """

    check: str
    rule: str
    category: str
    severity: Severity
    score: float
    effect: Effect
    span: Span | None = None
    taxonomy: tuple[str, ...] = ()


class CoverageState(StrEnum):
    """Whether a part was looked at."""

    INSPECTED = "inspected"
    SKIPPED = "skipped"  # not, or not with all that was asked for, by the policy's own choice
    UNINSPECTABLE = "uninspectable"  # nobody could


@value_object(frozen=True, slots=True)
class CoverageEntry:
    """What happened to one part.

    Attributes:
        phase: `request` or `response`.
        pointer: JSON pointer of the part in its body; empty for the body as a whole.
        state: see CoverageState.
        reason: stable snake_case reason; empty when inspected.
        checks: ids of the content checks that read the part, sorted.
    """

    phase: str
    pointer: str
    state: CoverageState
    reason: str = ""
    checks: tuple[str, ...] = ()


Coverage = tuple[CoverageEntry, ...]
