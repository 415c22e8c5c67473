"""The refusals the front writes itself, when no engine could: 503 in the caller's protocol."""

from __future__ import annotations

from promptward.protocols import NEUTRAL, protocol_for
from promptward_kong.events import Refusal

_HEADERS = {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "no-store",
    "retry-after": "1",
}
_MESSAGE = "The request could not be checked; try again later."


def unavailable(method: str = "", path: str = "", code: str = "check_failed") -> Refusal:
    """503 for a request that was not checked.

    Args:
        method: HTTP method, empty when unknown.
        path: path with or without query, empty when unknown.
        code: stable code in the body.
    """
    return refusal(method, path, 503, code, "unavailable", _MESSAGE)


def refusal(method: str, path: str, status: int, code: str, category: str, message: str) -> Refusal:
    """An answer in the protocol spoken at `method` and `path`, a neutral one elsewhere."""
    protocol = protocol_for(method, path) or NEUTRAL
    return Refusal(status, protocol.error_body(status, code, category, message), dict(_HEADERS))
