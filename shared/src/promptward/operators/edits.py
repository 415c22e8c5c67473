"""Edits: what an incremental transformer did with the next characters of its channel.

A transformer answers every `advance` with edits that cover, in order and without a gap, the input
it is now sure of. A wrapper that sees the channel in another form (JSON escapes) can so keep the
source of everything that was left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from promptward.recognizers.model import Match


class Edit(NamedTuple):
    """What became of the next characters.

    Attributes:
        text: the input characters.
        replacement: what takes their place, or None when they stay as they are.
        match: what was recognised there, with offsets in the channel.
    """

    text: str
    replacement: str | None = None
    match: Match | None = None


class EditingChannel(Protocol):
    """An incremental transformer of one text channel (a redactor, a restorer)."""

    @property
    def pending(self) -> int:
        """Characters held back."""
        ...

    def advance(self, text: str) -> list[Edit]:
        """Take more text; return edits of what is certain."""
        ...

    def settle(self, separator: str = "") -> list[Edit]:
        """Everything so far is complete: nothing may reach from it across `separator`.

        The separator is context for what follows and is not among the edits.
        """
        ...


def render(edits: Sequence[Edit]) -> str:
    """The text after the edits."""
    return "".join(edit.text if edit.replacement is None else edit.replacement for edit in edits)
