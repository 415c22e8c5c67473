"""The error shape for requests whose protocol is not known.

It has OpenAI's members (what most clients look for) and our category; nothing here can be parsed.
"""

from __future__ import annotations

from promptward.jsonstrict import dumps_canonical


class NeutralErrors:
    """Errors for a client whose protocol nobody recognised."""

    name = "neutral"

    def error_body(self, status: int, code: str, category: str, message: str) -> bytes:
        """The same input gives the same bytes."""
        return dumps_canonical(
            {"error": {"message": message, "type": category, "code": code, "status": status}}
        )


NEUTRAL = NeutralErrors()
