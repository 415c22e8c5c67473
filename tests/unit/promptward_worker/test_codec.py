"""Wire ↔ nouns."""

from __future__ import annotations

import json

import pytest

from promptward.decision import Mutations
from promptward.errors import ExchangeError
from promptward.exchange import Body, Exchange
from promptward_worker import codec

Pairs = list[tuple[str, str]]


def decoded(headers: Pairs) -> Exchange:
    return codec.exchange(
        method="post", host="ai.example.com", path="/v1/x?q=1", headers=headers, body=Body(b"{}")
    )


def test_a_request_becomes_an_exchange() -> None:
    exchange = decoded([("cf-connecting-ip", "203.0.113.9"), ("accept", "a, b")])
    assert (exchange.method, exchange.host, exchange.path) == (
        "POST",
        "ai.example.com",
        "/v1/x?q=1",
    )
    assert exchange.peer == "203.0.113.9"
    assert exchange.headers.get("accept") == "a, b"
    assert exchange.request_id == ""
    assert exchange.gateway_identity is None


@pytest.mark.parametrize("name", ["authorization", "content-type", "x-api-key"])
def test_fetch_joins_repeated_fields_and_the_core_still_sees_two(name: str) -> None:
    exchange = decoded([(name, "one, two")])
    assert exchange.headers.get_all(name) == ["one", "two"]
    with pytest.raises(ExchangeError, match="more than once"):
        exchange.headers.get(name)


def test_what_goes_upstream_is_what_the_policy_left() -> None:
    sent = codec.upstream_headers(
        [
            ("authorization", "Bearer client"),
            ("accept", "text/event-stream"),
            ("x-team", "old"),
            ("x-consumer-id", "spoofed"),
        ],
        Mutations(
            set_headers=(("x-team", "new"), ("content-length", "7")),
            remove_headers=("authorization", "x-consumer-*"),
        ),
    )
    assert sent == [
        ("accept", "text/event-stream"),
        ("x-team", "new"),
        ("accept-encoding", "identity"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "connection",
        "upgrade",
        "transfer-encoding",
        "te",
        "host",
        "content-length",
        "accept-encoding",
        "cf-connecting-ip",
        "cf-access-jwt-assertion",
        "cf-ray",
        "x-forwarded-for",
        "x-real-ip",
        "proxy-authorization",
    ],
)
def test_connection_and_network_fields_stop_here(name: str) -> None:
    assert codec.upstream_headers([(name, "x")], Mutations()) == [("accept-encoding", "identity")]


def test_the_access_cookie_is_not_sent_on_but_others_are() -> None:
    sent = codec.upstream_headers([("cookie", "a=1; CF_Authorization=t; b=2")], Mutations())
    assert ("cookie", "a=1; b=2") in sent
    only = codec.upstream_headers([("cookie", "CF_Authorization=t")], Mutations())
    assert only == [("accept-encoding", "identity")]


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZIP"])
def test_the_runtime_undoes_these_encodings_so_the_field_goes(encoding: str) -> None:
    pairs = [("content-encoding", encoding), ("content-length", "9"), ("etag", "x")]
    assert codec.readable_headers(pairs) == [("etag", "x")]


@pytest.mark.parametrize("encoding", ["zstd", "deflate", "gzip, zstd", "identity"])
def test_an_encoding_that_is_still_on_the_body_stays_named(encoding: str) -> None:
    pairs = [("content-encoding", encoding)]
    assert codec.readable_headers(pairs) == pairs


def test_rate_limit_fields_replace_the_origins_and_framing_is_ours() -> None:
    shown = codec.client_headers(
        [
            ("content-type", "application/json"),
            ("x-ratelimit-limit-tokens", "origin"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ],
        (("x-ratelimit-limit-tokens", "ours"),),
    )
    assert shown == [
        ("content-type", "application/json"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-ratelimit-limit-tokens", "ours"),
    ]


def test_without_an_engine_the_answer_is_a_503_in_openai_shape() -> None:
    body, headers = codec.unavailable("policy_unavailable")
    error = json.loads(body)["error"]
    assert error["code"] == "policy_unavailable"
    assert set(error) == {"message", "type", "param", "code"}
    assert dict(headers)["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://ai.example.com/v1/chat?a=b/c", ("ai.example.com", "/v1/chat?a=b/c")),
        ("http://127.0.0.1:8787/", ("127.0.0.1:8787", "/")),
        ("https://[::1]:8443/a//b#part", ("[::1]:8443", "/a//b")),
    ],
)
def test_a_url_falls_into_host_and_path(url: str, expected: tuple[str, str]) -> None:
    assert codec.host_and_path(url) == expected
