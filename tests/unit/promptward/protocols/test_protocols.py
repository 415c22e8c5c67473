"""The registry and the neutral error shape."""

from __future__ import annotations

from promptward.protocols import NEUTRAL, PROTOCOLS, protocol_for


def test_names_are_the_keys() -> None:
    assert all(protocol.name == name for name, protocol in PROTOCOLS.items())
    assert "openai.chat" in PROTOCOLS


def test_the_route_selects() -> None:
    assert protocol_for("POST", "/v1/chat/completions?x=1") is PROTOCOLS["openai.chat"]
    assert protocol_for("POST", "/v1/chat/completions", among=()) is None
    assert protocol_for("POST", "/v1/embeddings") is None
    assert protocol_for("GET", "/v1/chat/completions") is None


def test_neutral_errors() -> None:
    assert NEUTRAL.error_body(400, "unknown_protocol", "parse", "No.") == (
        b'{"error":{"message":"No.","type":"parse","code":"unknown_protocol","status":400}}'
    )
