"""What a detector is to its host: one blocking call under a deadline, and how it may fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from promptward.errors import PortError
from promptward.ports import ClassifierQuery, ClassifierSpan

PORT = "classifier"

Analyze = Callable[[ClassifierQuery, Sequence[str], float], list[list[ClassifierSpan]]]
"""(query, texts, deadline on the monotonic clock) -> spans per text. Blocks, raises only PortError.

The deadline is the detector's as far as it can keep it; the host stops waiting then all the same.
"""


class CallFailedError(PortError):
    """This call failed; the texts themselves may be why, so it says nothing about the next call."""

    def __init__(self, reason: str) -> None:
        super().__init__(PORT, reason)


class ServiceAwayError(PortError):
    """The detector cannot be reached, whatever it is asked: the circuit breaker counts these."""

    def __init__(self, reason: str) -> None:
        super().__init__(PORT, reason)
