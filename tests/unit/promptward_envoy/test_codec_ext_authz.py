"""CheckRequest to Exchange, Decision to CheckResponse."""

from __future__ import annotations

import pytest

from promptward.decision import Allow, Deny, Mutations, PolicyRef, Principal, Ticket
from promptward.exchange import Body, Headers
from promptward_envoy import codec_ext_authz as codec

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


def test_exchange_has_everything_envoy_says(messages) -> None:
    message = messages.check(
        (":path", "/v1/x"),
        ("X-A", "1"),
        ("x-a", "2"),
        ("content-length", "2"),
        body=b"{}",
        size=2,
        path="/v1/x?q=1",
    )
    message.attributes.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"].update(
        {"p": {"sub": "ann"}}
    )
    message.attributes.context_extensions["promptward.route"] = "chat"
    exchange = codec.exchange_from_check(message)
    assert (exchange.method, exchange.host, exchange.path) == ("POST", "api.test", "/v1/x?q=1")
    assert exchange.headers.get_all("x-a") == ["1", "2"]
    assert (exchange.peer, exchange.route, exchange.request_id) == ("192.0.2.7", "chat", "")
    assert exchange.gateway_identity is not None
    assert exchange.gateway_identity.claims == {"sub": "ann"}


def test_merged_header_map_is_read_when_raw_headers_are_off(messages) -> None:
    message = messages.check(("x-a", "1,2"), body=b"{}", raw=False)
    assert codec.exchange_from_check(message).headers.get_all("x-a") == ["1,2"]


def test_text_body_is_read_when_pack_as_bytes_is_off(messages) -> None:
    message = messages.check(("x-envoy-auth-partial-body", "false"), ("content-length", "2"))
    message.attributes.request.http.body = "{}"
    assert codec.exchange_from_check(message).body == Body(b"{}")


@pytest.mark.parametrize(
    ("pairs", "body", "size", "method", "complete"),
    [
        # Envoy's marker, written whenever with_request_body is set and there is a body
        ((("x-envoy-auth-partial-body", "true"),), b"{}", 2, "POST", False),
        (
            (("x-envoy-auth-partial-body", "false"), ("content-length", "2")),
            b"{}",
            2,
            "POST",
            True,
        ),
        # a client's marker comes first, Envoy's last
        (
            (("x-envoy-auth-partial-body", "false"), ("x-envoy-auth-partial-body", "true")),
            b"{}",
            2,
            "POST",
            False,
        ),
        # a length that the body does not have is never whole, whatever the marker says
        (
            (("x-envoy-auth-partial-body", "false"), ("content-length", "3")),
            b"{}",
            3,
            "POST",
            False,
        ),
        # no marker: no with_request_body, or no body
        ((), b"", 0, "GET", True),
        ((("content-length", "0"),), b"", 0, "POST", True),
        ((("content-length", "9"),), b"", 9, "POST", False),
        ((("transfer-encoding", "chunked"),), b"", -1, "GET", False),
        ((), b"", -1, "POST", False),  # HTTP/2 without a length
        ((), b"{}", 2, "POST", False),
    ],
)
def test_completeness(messages, pairs, body, size, method, complete) -> None:
    message = messages.check(*pairs, body=body, size=size, method=method)
    assert codec.exchange_from_check(message).body.complete is complete


@pytest.mark.parametrize(
    ("cut_at", "complete"),
    [
        ("3", True),
        ("2", False),  # as much as Envoy sends: more may be on its way, "false" or not
        ("1", False),
        ("", False),
        ("-3", False),
        ("3kB", False),
        ("³", False),
        ("9" * 5000, False),
    ],
)
def test_body_without_a_length_is_whole_only_below_the_size_at_which_envoy_cuts(
    messages, cut_at, complete
) -> None:
    message = messages.check(("x-envoy-auth-partial-body", "false"), body=b"{}", size=2)
    message.attributes.context_extensions["promptward.max_request_bytes"] = cut_at
    assert codec.exchange_from_check(message).body.complete is complete


def test_body_without_a_length_is_not_whole_where_the_route_does_not_say(messages) -> None:
    message = messages.check(("x-envoy-auth-partial-body", "false"), body=b"{}", size=2)
    assert codec.exchange_from_check(message).body.complete is False


def test_marker_in_the_merged_map_counts(messages) -> None:
    message = messages.check(("x-envoy-auth-partial-body", "true"), body=b"{}", raw=False)
    assert codec.exchange_from_check(message).body.complete is False


def test_allow_sets_removes_and_names_itself(header_values) -> None:
    mutations = Mutations((("x-verdict", "ok"),), ("authorization", "x-user-*"))
    allow = Allow(mutations, TICKET, (), (), (("ratelimit", "1"),))
    response = codec.response_from_allow(
        allow, Headers([("x-user-id", "1"), ("authorization", "Bearer x")])
    )
    assert response.status.code == 0
    assert header_values(response.ok_response.headers) == {"x-verdict": "ok"}
    assert list(response.ok_response.headers_to_remove) == ["authorization", "x-user-id"]
    assert header_values(response.ok_response.response_headers_to_add) == {"ratelimit": "1"}
    assert response.dynamic_metadata.fields["promptward_request_id"].string_value == "r1"


def test_header_values_for_ext_authz_are_text_because_it_ignores_raw_values() -> None:
    allow = Allow(Mutations((("x-verdict", "ok"),)), TICKET, (), ())
    option = codec.response_from_allow(allow, Headers()).ok_response.headers[0]
    assert (option.header.value, option.header.raw_value) == ("ok", b"")


def test_deny_carries_status_headers_and_body(header_values) -> None:
    deny = Deny(429, "budget", "budget", "no", (("retry-after", "3"),), b'{"e":"\xc3\xa9"}', (), ())
    response = codec.response_from_deny(deny)
    assert response.status.code != 0
    assert response.denied_response.status.code == 429
    assert header_values(response.denied_response.headers) == {"retry-after": "3"}
    assert response.denied_response.body == '{"e":"é"}'


def test_context_extensions_are_the_routes(messages) -> None:
    message = messages.check()
    message.attributes.context_extensions["promptward.policy"] = "strict"
    assert codec.context_extensions(message)["promptward.policy"] == "strict"
