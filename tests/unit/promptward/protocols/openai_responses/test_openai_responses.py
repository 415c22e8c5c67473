"""The openai.responses protocol: its routes and its errors."""

from __future__ import annotations

import json

from promptward.protocols import PROTOCOLS

RESPONSES = PROTOCOLS["openai.responses"]


def test_routes() -> None:
    for path in ("/v1/responses", "/openai/responses?api-version=preview", "/openai/v1/responses"):
        assert RESPONSES.matches("POST", path)
    for path in ("/v1/responses/resp_1", "/v1/responses/resp_1/cancel", "/v1/responses/", "/v1"):
        assert not RESPONSES.matches("POST", path)
    assert not RESPONSES.matches("GET", "/v1/responses")


def test_errors_are_openais() -> None:
    assert RESPONSES.error_body(400, "c", "content", "m") == (
        b'{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"c"}}'
    )
    name, data, *rest = RESPONSES.stream_error(400, "c", "content", "m").split(b"\n")
    assert name == b"event: error"
    assert json.loads(data[6:]) == {
        "type": "error",
        "code": "c",
        "message": "m",
        "param": None,
        "sequence_number": 0,
    }
    assert rest == [b"", b""]
