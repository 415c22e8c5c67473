"""The operator protocol."""

from __future__ import annotations

from typing import Protocol


class Operator(Protocol):
    """Turns a recognised value into what replaces it."""

    def apply(self, entity: str, value: str, /) -> str:
        """The replacement for `value`, which was recognised as `entity`."""
        ...
