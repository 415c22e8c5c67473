"""OpenAI's error object, as its client libraries read it.

Source: OpenAI API reference, "Errors"; openai-python `_exceptions.py` (`error.message`, `.type`,
`.param`, `.code`). The same input gives the same bytes at every gateway.
"""

from __future__ import annotations

from promptward.jsonstrict import dumps_canonical

# Our category -> OpenAI's `type`. Clients decide by HTTP status, people read this.
_TYPES = {
    "parse": "invalid_request_error",
    "authentication": "authentication_error",
    "authorization": "permission_error",
    "budget": "rate_limit_error",
    "content": "invalid_request_error",
    "unavailable": "server_error",
}


def openai_error(code: str, category: str, message: str) -> bytes:
    """`{"error": {...}}` in canonical bytes.

    Args:
        code: stable snake_case code.
        category: as in `Deny`; an unknown one reads as a server error.
        message: what the client is told.
    """
    kind = _TYPES.get(category, "server_error")
    return dumps_canonical(
        {"error": {"message": message, "type": kind, "param": None, "code": code}}
    )
