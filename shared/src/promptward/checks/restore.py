"""Gives pseudonymized values back in the reply, tool-call arguments included.

Runs after every other response check, so that a value the caller sent is never redacted from the
answer to that caller; it is added to a policy by its pseudonymizing checks, not configured.
"""

from __future__ import annotations

from collections.abc import Sequence

from promptward.checks.content import (
    Conversation,
    FailureMode,
    Inspection,
    Phase,
)
from promptward.findings import Finding
from promptward.llm import Part
from promptward.operators import Restorer
from promptward.protocols.base import Channel
from promptward.stream.channels import ChannelFilter
from promptward.stream.json_escaped import JsonEscapedChannel


class RestoreCheck:
    """See the module docstring."""

    id = ""  # it judges nothing, so it never counts as having inspected a part
    phases = frozenset({Phase.RESPONSE})
    failure_mode = FailureMode.CLOSED
    needs_system_text = False

    def wanted(self, conversation: Conversation) -> bool:
        """Only an exchange with pseudonyms has something to give back."""
        return bool(conversation.vault)

    async def inspect(
        self, phase: Phase, parts: Sequence[Part], conversation: Conversation
    ) -> Inspection:
        del phase
        edits = {}
        for part in parts:
            text = _Restore(conversation, part.json_escaped)
            restored = text.feed(part.text) + text.close()
            if restored != part.text:
                edits[part.pointer] = restored
        return Inspection(edits=edits, skipped={p.pointer: "no_check" for p in parts})

    def open_channel(self, channel: Channel, conversation: Conversation) -> ChannelFilter | None:
        return _Restore(conversation, channel.json_escaped)


class _Restore:
    """Restores one text, whole or in pieces."""

    findings: Sequence[Finding] = ()

    def __init__(self, conversation: Conversation, json_escaped: bool) -> None:
        restorer = Restorer(conversation.list_placeholders())
        self._text = JsonEscapedChannel(restorer) if json_escaped else restorer

    def feed(self, text: str) -> str:
        return self._text.feed(text)

    def close(self) -> str:
        return self._text.close()
