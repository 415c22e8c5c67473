"""Sizes, encodings and media types of bodies."""

from __future__ import annotations

import gzip
import zlib

import pytest

from promptward.engine.bodies import decoded_body, require_json
from promptward.errors import ExchangeError
from promptward.exchange import Body, Headers
from promptward.policy.model import Limits

LIMITS = Limits(max_body_bytes=1000, max_decompressed_bytes=2000)


def code_of(headers: list[tuple[str, str]], body: Body, status: int = 415) -> tuple[str, int]:
    with pytest.raises(ExchangeError) as caught:
        decoded_body(Headers(headers), body, LIMITS, status)
    return caught.value.code, caught.value.status


@pytest.mark.parametrize("encoding", [[], [("content-encoding", "identity")]])
def test_plain_bodies_are_not_touched(encoding: list[tuple[str, str]]) -> None:
    assert decoded_body(Headers(encoding), Body(b"x"), LIMITS, 415) == (b"x", False)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("gzip", gzip.compress(b"hi")),
        ("X-GZIP", gzip.compress(b"hi")),
        ("deflate", zlib.compress(b"hi")),
    ],
)
def test_encodings_that_are_undone(name: str, data: bytes) -> None:
    headers = Headers([("content-encoding", name)])
    assert decoded_body(headers, Body(data), LIMITS, 415) == (b"hi", True)


@pytest.mark.parametrize(
    ("encoding", "body", "code", "request_status"),
    [
        ("", Body(b"x" * 1001), "body_too_large", 413),
        ("", Body(b"x", complete=False), "truncated_body", 413),
        ("br", Body(b"x"), "unsupported_content_encoding", 415),
        ("gzip, gzip", Body(b"x"), "unsupported_content_encoding", 415),
        ("gzip", Body(b"plain"), "invalid_content_encoding", 400),
        ("gzip", Body(gzip.compress(b"hi")[:-1]), "invalid_content_encoding", 400),
        ("gzip", Body(gzip.compress(b"hi") + b"tail"), "invalid_content_encoding", 400),
        ("gzip", Body(gzip.compress(b"hi") * 2), "invalid_content_encoding", 400),
        ("gzip", Body(gzip.compress(b"x" * 100_000)), "body_too_large", 413),
    ],
)
def test_what_is_refused(encoding: str, body: Body, code: str, request_status: int) -> None:
    headers = [("content-encoding", encoding)] if encoding else []
    assert code_of(headers, body) == (code, request_status)
    assert code_of(headers, body, 502) == (code, 502)


def test_two_encoding_headers_are_refused() -> None:
    headers = [("content-encoding", "gzip"), ("content-encoding", "identity")]
    assert code_of(headers, Body(b"x"))[0] == "duplicate_header"


@pytest.mark.parametrize(
    "value",
    ["application/json", "Application/JSON; charset=utf-8", 'application/json;charset="UTF-8"'],
)
def test_json_is_json(value: str) -> None:
    require_json(Headers([("content-type", value)]))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "unsupported_media_type"),
        ("text/json", "unsupported_media_type"),
        ("application/json; charset=utf-16", "unsupported_charset"),
        ("multipart/form-data; boundary=x", "unsupported_media_type"),
    ],
)
def test_what_is_not_json(value: str | None, code: str) -> None:
    headers = Headers([("content-type", value)] if value else [])
    with pytest.raises(ExchangeError) as caught:
        require_json(headers)
    assert (caught.value.code, caught.value.status) == (code, 415)
