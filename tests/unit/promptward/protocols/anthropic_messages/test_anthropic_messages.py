"""The anthropic.messages protocol: its routes and its errors."""

from __future__ import annotations

import json

import pytest

from promptward.protocols import PROTOCOLS

MESSAGES = PROTOCOLS["anthropic.messages"]


def test_routes() -> None:
    for path in ("/v1/messages", "/v1/messages?beta=true", "/anthropic/v1/messages"):
        assert MESSAGES.matches("POST", path)
    for path in ("/v1/messages/count_tokens", "/v1/messages/", "/messages", "/v1//messages"):
        assert not MESSAGES.matches("POST", path)
    assert not MESSAGES.matches("GET", "/v1/messages")


@pytest.mark.parametrize(
    ("status", "category", "kind"),
    [
        (400, "parse", "invalid_request_error"),
        (413, "parse", "request_too_large"),
        (401, "authentication", "authentication_error"),
        (403, "authorization", "permission_error"),
        (429, "budget", "rate_limit_error"),
        (400, "content", "invalid_request_error"),
        (503, "unavailable", "api_error"),
    ],
)
def test_error_body_is_anthropics(status: int, category: str, kind: str) -> None:
    body = MESSAGES.error_body(status, "the_code", category, "What.")
    assert body == (
        b'{"type":"error","error":{"type":"%b","message":"What.","code":"the_code"}}'
        % kind.encode()
    )


def test_stream_error_is_an_error_event() -> None:
    lines = MESSAGES.stream_error(400, "c", "content", "m").split(b"\n")
    assert lines[0] == b"event: error"
    assert json.loads(lines[1][6:])["type"] == "error"
    assert lines[2:] == [b"", b""]
