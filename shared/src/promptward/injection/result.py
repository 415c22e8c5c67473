"""What the injection detector reports, and its default thresholds.

Invariants: frozen; offsets are code points of the text that was given, never of a normalised or
decoded form; a hit never carries the matched text.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from promptward.exchange import Source
from promptward.values import value_object


@value_object(frozen=True, slots=True)
class InjectionHit:
    """One rule that fired.

    Attributes:
        rule: stable rule id, for example `override.ignore_previous`.
        category: the attack family, for example `instruction_override`.
        start, end: half-open range of code points in the original text; for a decoded payload, the
            range of its encoded form.
        weight: 0..1, what the rule alone is worth as evidence.
        taxonomy: OWASP LLM (`LLM01`) and MITRE ATLAS (`AML.T0051`) ids.
    """

    rule: str
    category: str
    start: int
    end: int
    weight: float
    taxonomy: tuple[str, ...]


@value_object(frozen=True, slots=True)
class InjectionResult:
    """The verdict on one text.

    Attributes:
        score: calibrated 0..1, rounded to 6 places; see `DEFAULT_THRESHOLDS`.
        hits: what fired, by place; empty when only the model is suspicious.
    """

    score: float
    hits: tuple[InjectionHit, ...] = ()


@value_object(frozen=True, slots=True)
class Threshold:
    """Scores from which a text is flagged and blocked (each 0..1, inclusive)."""

    flag: float
    block: float


# Fixed on development data (docs/detection-injection.md): the score is calibrated so that about
# 0.6 % of the unseen benign pool reaches 0.5 and 0.2 % reaches 0.8. What an operator wrote is full
# of imperatives by nature, so it is only flagged; a tool definition comes from who runs the tool.
DEFAULT_THRESHOLDS: Mapping[Source, Threshold] = MappingProxyType(
    {
        Source.SYSTEM: Threshold(flag=0.9, block=1.0),
        Source.DEVELOPER: Threshold(flag=0.9, block=1.0),
        Source.USER: Threshold(flag=0.5, block=0.8),
        Source.ASSISTANT: Threshold(flag=0.8, block=0.95),
        Source.TOOL_RESULT: Threshold(flag=0.5, block=0.8),
        Source.DOCUMENT: Threshold(flag=0.5, block=0.8),
        Source.TOOL_DEFINITION: Threshold(flag=0.5, block=0.8),
        Source.TOOL_ARGUMENTS: Threshold(flag=0.8, block=0.95),
    }
)
