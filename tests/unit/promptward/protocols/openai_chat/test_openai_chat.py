"""The openai.chat protocol: its routes and its errors."""

from __future__ import annotations

import pytest

from promptward.protocols import PROTOCOLS

CHAT = PROTOCOLS["openai.chat"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/chat/completions",
        "/openai/v1/chat/completions",
        "/api/v1/chat/completions",
        "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        "/team-a/llm/v1/chat/completions?x=y/z",
    ],
)
def test_routes(path: str) -> None:
    assert CHAT.matches("POST", path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1/chat/completions/x"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1//chat/completions"),
        ("POST", "/../chat/completions"),
        ("POST", "/v1/%63hat/completions"),
        ("POST", "/v1/x%2fchat/completions"),
        ("POST", "v1/chat/completions"),
        ("POST", "/V1/Chat/Completions"),
        ("POST", "/x?y=/v1/chat/completions"),
        ("POST", "/v1/chat/completions#"),
        ("POST", "/v1/chat/completions\n"),
    ],
)
def test_other_routes(method: str, path: str) -> None:
    assert not CHAT.matches(method, path)


def test_a_long_path_costs_nothing() -> None:
    assert not CHAT.matches("POST", "/a" * 100_000 + "/chat/completion")


def test_error_body_is_openais() -> None:
    assert (
        CHAT.error_body(403, "model_not_allowed", "authorization", "No “x”.")
        == (
            '{"error":{"message":"No “x”.","type":"permission_error","param":null,'
            '"code":"model_not_allowed"}}'
        ).encode()
    )


@pytest.mark.parametrize(
    ("category", "kind"),
    [
        ("parse", "invalid_request_error"),
        ("authentication", "authentication_error"),
        ("authorization", "permission_error"),
        ("budget", "rate_limit_error"),
        ("content", "invalid_request_error"),
        ("unavailable", "server_error"),
        ("other", "server_error"),
    ],
)
def test_error_types(category: str, kind: str) -> None:
    assert f'"type":"{kind}"'.encode() in CHAT.error_body(400, "c", category, "m")


def test_stream_error_ends_the_stream() -> None:
    body = CHAT.error_body(400, "c", "content", "two\nlines")
    assert CHAT.stream_error(400, "c", "content", "two\nlines") == (
        b"data: " + body + b"\n\ndata: [DONE]\n\n"
    )
    assert b"\n" not in body
