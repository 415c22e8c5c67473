import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptward.decision import PolicyRef, Principal, Ticket
from promptward_kong.capabilities import KONG, KONG_BUFFERED
from promptward_kong.codec import (
    RequestFacts,
    consumer_claims,
    content_length,
    exchange_of,
    header_pairs,
    header_table,
    may_have_body,
    pack_ticket,
    removals,
    split_request_line,
    unpack_ticket,
)
from promptward_kong.pdk import octets, text


@given(st.binary(max_size=40))
def test_header_octets_survive(octet_string):
    as_kong_packs_it = octet_string.decode("utf-8", "surrogateescape")
    seen = text(as_kong_packs_it)
    back = octets(seen)
    assert (back if isinstance(back, bytes) else back.encode()) == octet_string
    assert seen == octet_string.decode("latin-1")


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("POST /v1/x?a=1 HTTP/1.1", ("POST", "/v1/x?a=1", "HTTP/1.1")),
        ("get / HTTP/2.0", ("GET", "/", "HTTP/2.0")),
        ("POST http://host:80/v1?q HTTP/1.1", ("POST", "/v1?q", "HTTP/1.1")),
        ("POST http://host HTTP/1.1", ("POST", "/", "HTTP/1.1")),
        ("POST /a b HTTP/1.1", ("POST", "/a b", "HTTP/1.1")),
        ("POST /x?u=http://y HTTP/1.1", ("POST", "/x?u=http://y", "HTTP/1.1")),
    ],
)
def test_request_lines(line, parts):
    assert split_request_line(line) == parts


@pytest.mark.parametrize("line", ["", "GET", "GET /", " / HTTP/1.1", "GET / HTTPS"])
def test_what_is_no_request_line_is_an_error(line):
    with pytest.raises(ValueError, match="request line"):
        split_request_line(line)


@pytest.mark.parametrize(
    ("version", "headers", "expected"),
    [
        ("HTTP/1.1", {}, False),
        ("HTTP/1.1", {"content-length": ["0"]}, False),
        ("HTTP/1.1", {"content-length": ["5"]}, True),
        ("HTTP/1.1", {"content-length": ["x"]}, True),
        ("HTTP/1.1", {"content-length": ["0", "5"]}, True),
        ("HTTP/1.1", {"transfer-encoding": ["chunked"]}, True),
        ("HTTP/2.0", {}, True),
        ("HTTP/3.0", {"content-length": ["0"]}, True),
    ],
)
def test_a_body_is_only_left_unread_when_there_is_none(version, headers, expected):
    assert may_have_body(version, headers) is expected


def test_content_length():
    assert content_length({"content-length": ["12"]}) == 12
    for values in ([], ["1", "1"], ["-1"], ["1e3"], ["²"]):
        assert content_length({"content-length": values}) is None


def test_facts_become_an_exchange():
    headers = header_pairs({"X-B": ["1", "2"], "host": ["h"], "a": ["\xff"]})
    facts = RequestFacts("POST", "/p?q", headers, b"\x00\xff", True, "chat", {"sub": "ann"})
    exchange = exchange_of(facts.pack())
    assert exchange.headers.pairs == (("x-b", "1"), ("x-b", "2"), ("a", "\xff"), ("host", "h"))
    assert (exchange.method, exchange.path, exchange.host) == ("POST", "/p?q", "h")
    assert (exchange.body.data, exchange.body.complete, exchange.route) == (
        b"\x00\xff",
        True,
        "chat",
    )
    assert exchange.gateway_identity is not None
    assert exchange.gateway_identity.method == KONG.identity_method == KONG_BUFFERED.identity_method
    assert exchange.gateway_identity.claims == {"sub": "ann"}


def test_removals_name_only_what_is_there():
    present = ["x-consumer-id", "x-consumerism", "authorization", "x-other"]
    assert removals(["authorization", "x-consumer-*", "missing"], present) == [
        "authorization",
        "x-consumer-id",
    ]


def test_repeated_headers_become_lists():
    assert header_table((("a", "1"), ("b", "2"), ("a", "3"))) == {"a": ["1", "3"], "b": "2"}


@pytest.mark.parametrize(
    ("consumer", "sub"),
    [
        ({"id": "1", "username": "ann", "custom_id": "c"}, "ann"),
        ({"id": "1", "custom_id": "c"}, "c"),
        ({"id": "1"}, "1"),
    ],
)
def test_a_consumer_becomes_claims(consumer, sub):
    claims = consumer_claims(consumer, {"id": "cred"}, ["a", "b", "a"])
    assert claims is not None
    assert claims["sub"] == sub
    assert claims["groups"] == ["a", "b"]
    assert claims["credential_id"] == "cred"


def test_no_credential_no_identity():
    assert consumer_claims(None, {"id": "c"}, []) is None
    assert consumer_claims({"id": "1", "username": "anonymous"}, None, []) is None
    assert consumer_claims({}, {"id": "c"}, []) is None


def test_tickets_round_trip():
    ticket = Ticket(
        request_id="r",
        principal=Principal("ann", "jwt", {"sub": "ann", "n": 1, "deep": {"a": [None, 1.5]}}),
        policy=PolicyRef("p", 3, "00"),
        protocol="openai.chat",
        model="m",
        route="r",
        budgets=("a", "b"),
        estimates={"a": 2**60},
        stream=True,
        usage_injected=True,
        input_tokens=7,
        started_s=1.25,
        tenant="t",
        vault={"<EMAIL_1>": "x@y.z \U0001f600"},
        system_text="s",
    )
    assert unpack_ticket(pack_ticket(ticket)) == ticket
