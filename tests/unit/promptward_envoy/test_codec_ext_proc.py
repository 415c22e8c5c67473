"""ProcessingRequest to Exchange and Response, decisions to ProcessingResponse."""

from __future__ import annotations

import pytest

from promptward.decision import Allow, Deny, Mutations, PolicyRef, Principal, Ticket
from promptward.exchange import Body, Headers
from promptward_envoy import codec_ext_proc as codec
from promptward_envoy.descriptors import ProcessingMode

TICKET = Ticket(
    "r1",
    Principal("p", "jwt", {}),
    PolicyRef("p", 1, "0"),
    "",
    "m",
    "",
    (),
    {},
    False,
    False,
    0,
    0.0,
)


def allow(**mutations) -> Allow:
    return Allow(Mutations(**mutations), TICKET, (), ())


def test_exchange_has_everything_envoy_says(messages) -> None:
    attributes = {"source.address": "192.0.2.7:4711", "xds.route_name": "chat"}
    message = messages.request_headers(("x-a", "1"), ("x-a", "2"), attributes=attributes)
    messages.metadata(message, "envoy.filters.http.ext_authz", {"promptward_request_id": "r1"})
    exchange = codec.exchange_from_headers(message, "")
    assert (exchange.method, exchange.host) == ("POST", "api.test")
    assert exchange.path == "/v1/chat/completions"
    assert exchange.headers == Headers([("x-a", "1"), ("x-a", "2")])
    assert (exchange.peer, exchange.route, exchange.request_id) == ("192.0.2.7", "chat", "r1")


@pytest.mark.parametrize(
    ("address", "peer"),
    [("[2001:db8::1]:443", "2001:db8::1"), ("192.0.2.7:1", "192.0.2.7"), ("", ""), ("x", "x")],
)
def test_peer_is_the_address_without_port(messages, address, peer) -> None:
    message = messages.request_headers(attributes={"source.address": address})
    assert codec.exchange_from_headers(message, "").peer == peer


def test_route_setting_wins_over_the_routes_name(messages) -> None:
    message = messages.request_headers(attributes={"xds.route_name": "r"})
    assert codec.exchange_from_headers(message, "set").route == "set"


def test_without_attributes_peer_and_route_are_unknown(messages) -> None:
    exchange = codec.exchange_from_headers(messages.request_headers(), "")
    assert (exchange.peer, exchange.route, exchange.gateway_identity) == ("", "", None)


def test_with_body_changes_only_the_body(messages) -> None:
    exchange = codec.exchange_from_headers(messages.request_headers(("a", "b")), "r")
    whole = codec.with_body(exchange, b"{}")
    assert whole.body == Body(b"{}")
    assert codec.with_body(whole, b"") == exchange


@pytest.mark.parametrize(("status", "read"), [("200", 200), ("", 0), ("²00", 0), ("x", 0)])
def test_response_head(messages, status, read) -> None:
    message = messages.response_headers(("content-type", "text/plain"))
    message.response_headers.headers.headers[0].raw_value = status.encode("latin-1")
    assert codec.response_head(message) == (read, Headers([("content-type", "text/plain")]))


@pytest.mark.parametrize(
    ("details", "known"), [("via_upstream", True), ("ext_authz_denied", False), ("", None)]
)
def test_who_wrote_the_response(messages, details, known) -> None:
    message = messages.response_headers(details=details)
    assert codec.came_from_upstream(message) is known


@pytest.mark.parametrize(
    ("request_mode", "response_mode", "holds"),
    [
        (ProcessingMode.BUFFERED, ProcessingMode.FULL_DUPLEX_STREAMED, True),
        (ProcessingMode.NONE, ProcessingMode.FULL_DUPLEX_STREAMED, False),
        (ProcessingMode.BUFFERED_PARTIAL, ProcessingMode.FULL_DUPLEX_STREAMED, False),
        (ProcessingMode.STREAMED, ProcessingMode.FULL_DUPLEX_STREAMED, False),
        (ProcessingMode.BUFFERED, ProcessingMode.NONE, False),
        (ProcessingMode.BUFFERED, ProcessingMode.STREAMED, False),
        (ProcessingMode.BUFFERED, ProcessingMode.BUFFERED, False),
    ],
)
def test_only_modes_that_hold_bodies_are_taken(
    messages, request_mode, response_mode, holds
) -> None:
    message = messages.request_headers(request_mode=request_mode, response_mode=response_mode)
    assert codec.holds_bodies(message) is holds


def test_allowed_request_with_a_new_body_has_its_length(header_values) -> None:
    message = codec.allow_request(
        allow(set_headers=(("x", "1"),), remove_headers=("authorization",), body=b"new"),
        Headers([("content-length", "999"), ("authorization", "Bearer x")]),
        has_body=True,
    )
    common = message.request_body.response
    assert common.body_mutation.body == b"new"
    assert header_values(common.header_mutation.set_headers) == {"x": "1", "content-length": "3"}
    assert list(common.header_mutation.remove_headers) == ["authorization"]
    fields = message.dynamic_metadata.fields["promptward"].struct_value.fields
    assert fields["promptward_request_id"].string_value == "r1"


def test_allowed_request_without_changes_touches_nothing() -> None:
    common = codec.allow_request(allow(), Headers(), has_body=True).request_body.response
    assert not common.HasField("body_mutation")
    assert len(common.header_mutation.set_headers) == 0


def test_allowed_request_without_a_body_answers_its_headers() -> None:
    message = codec.allow_request(allow(set_headers=(("x", "1"),)), Headers(), has_body=False)
    assert message.WhichOneof("response") == "request_headers"


def test_framing_headers_are_never_taken_from_the_core(header_values) -> None:
    changes = Mutations(
        set_headers=(("content-length", "1"), ("transfer-encoding", "x"), ("a", "b"))
    )
    message = codec.response_headers(changes, Headers())
    assert header_values(message.response_headers.response.header_mutation.set_headers) == {
        "a": "b"
    }


def test_header_that_is_set_is_not_also_removed() -> None:
    changes = Mutations(set_headers=(("a", "b"),), remove_headers=("a", "c"))
    message = codec.response_headers(changes, Headers([("a", "1"), ("c", "1")]))
    assert list(message.response_headers.response.header_mutation.remove_headers) == ["c"]


def test_unneeded_body_is_not_asked_for() -> None:
    message = codec.without_body(codec.response_headers(Mutations(), Headers()))
    assert message.mode_override.response_body_mode == ProcessingMode.NONE
    assert message.WhichOneof("response") == "response_headers"


@pytest.mark.parametrize("ended", [True, False])
def test_chunks_are_streamed_responses(ended) -> None:
    chunk = codec.response_chunk(b"x", end_of_stream=ended)
    streamed = chunk.response_body.response.body_mutation.streamed_response
    assert (streamed.body, streamed.end_of_stream) == (b"x", ended)


def test_immediate_response_is_the_finished_denial(header_values) -> None:
    headers = (("content-type", "application/json"), ("content-length", "7"))
    deny = Deny(403, "nope", "authorization", "no", headers, b"{}", (), ())
    answer = codec.immediate(deny, (("ratelimit", "1"),)).immediate_response
    assert (answer.status.code, answer.body, answer.details) == (403, b"{}", "promptward_nope")
    assert header_values(answer.headers.set_headers) == {
        "content-type": "application/json",
        "ratelimit": "1",
    }
