"""ext_authz alone on the real Envoy: what passes, what is denied, what a cut body does."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from promptward_envoy.bootstrap import ext_authz_route
from promptward_envoy.testing.stack import HOST, Stack, chat_body

pytestmark = pytest.mark.envoy
LIMIT = 64 * 1024


@pytest.fixture(scope="module")
def stack(make_stack) -> Iterator[Stack]:
    with make_stack(
        filters=("ext_authz",),
        route_config=ext_authz_route({"promptward.route": "chat"}),
        buffer_limit_bytes=LIMIT,
    ) as made:
        yield made


def test_allowed_request_passes_with_its_headers_changed(stack) -> None:
    answer = stack.request(
        chat_body("hello"),
        headers={"authorization": "Bearer x", "x-user-id": "spoofed", "accept-encoding": "gzip"},
    )
    assert answer.status == 200
    assert answer.header("x-demo-accept-encoding") == "identity"
    assert answer.header("x-demo-header-names") is not None
    names = answer.header("x-demo-header-names").split(",")
    assert "x-verdict" in names
    assert "authorization" not in names
    assert "x-user-id" not in names
    assert answer.header("x-ratelimit-remaining") == "7"


def test_exchange_is_complete_and_named(stack) -> None:
    stack.request(chat_body("hello"), headers=[("x-a", "1"), ("x-a", "2")])
    asked = stack.last_event("on_request")
    assert asked["complete"] is True
    assert asked["route"] == "chat"
    assert asked["body"].encode() == chat_body("hello")
    assert [v for n, v in asked["headers"] if n == "x-a"] == ["1", "2"]
    assert asked["peer"].startswith("127.")


def test_allowed_request_is_settled_at_once_because_no_response_will_be_seen(stack) -> None:
    stack.chat("hello")
    asked = stack.last_event("on_request")
    stack.wait_for_event(event="on_unseen_response", id=asked["id"])


def test_denial_carries_status_headers_and_body(stack) -> None:
    before = len(stack.upstream_bodies())
    answer = stack.chat("hello", script="deny")
    assert (answer.status, answer.json["error"]["code"]) == (403, "scripted")
    assert answer.header("retry-after") == "3"
    assert len(stack.upstream_bodies()) == before


@pytest.mark.parametrize("script", ["raise", "hang"])
def test_fault_never_reaches_the_upstream(stack, script) -> None:
    before = len(stack.upstream_bodies())
    assert stack.chat("hello", script=script).status == 503
    assert len(stack.upstream_bodies()) == before


def test_body_that_must_change_is_refused(stack) -> None:
    before = len(stack.upstream_bodies())
    answer = stack.chat("SECRET", script="redact")
    assert (answer.status, answer.json["error"]["code"]) == (503, "needs_ext_proc")
    assert len(stack.upstream_bodies()) == before


def test_body_over_the_limit_is_413(stack) -> None:
    before = len(stack.upstream_bodies())
    assert stack.chat("x" * LIMIT).status == 413
    assert len(stack.upstream_bodies()) == before


def test_chunked_body_is_read_whole(stack) -> None:
    body = chat_body("in pieces")
    answer = stack.request(body[i : i + 7] for i in range(0, len(body), 7))
    assert answer.status == 200
    asked = stack.last_event("on_request")
    assert (asked["complete"], asked["body"].encode()) == (True, body)


@pytest.mark.parametrize("claim", ["true", "false"])
def test_clients_partial_body_header_means_nothing(stack, claim) -> None:
    answer = stack.request(chat_body("hi"), headers={"x-envoy-auth-partial-body": claim})
    assert answer.status == 200
    names = [name for name, _value in stack.last_event("on_request")["headers"]]
    assert "x-envoy-auth-partial-body" not in names


def test_get_without_a_body_is_complete(stack) -> None:
    assert stack.request(None, method="GET", path="/v1/models").status == 200
    assert stack.last_event("on_request")["complete"] is True


CUT = {"max_request_bytes": 100, "allow_partial_message": True, "pack_as_bytes": True}


def test_cut_body_is_incomplete_whatever_the_client_claims(make_stack) -> None:
    with make_stack(filters=("ext_authz",), authz_body=CUT) as stack:
        claim = {"x-envoy-auth-partial-body": "false"}
        answer = stack.request(chat_body("y" * 1000), headers=claim)
        assert answer.status == 403
        asked = stack.last_event("on_request")
        assert (asked["complete"], len(asked["body"])) == (False, 100)
        assert stack.upstream_bodies() == []


def test_chunked_body_that_stands_at_the_cut_is_incomplete(make_stack) -> None:
    """Envoy's own marker says "false" here: 100 bytes came, 100 were sent, more are to come."""
    body = chat_body("z" * 1000)
    with make_stack(filters=("ext_authz",), authz_body=CUT) as stack:

        def pieces() -> Iterator[bytes]:
            yield body[:100]
            stack.wait_for_event(event="on_request", complete=False)
            yield body[100:]

        assert stack.request(pieces()).status == 403
        assert len(stack.last_event("on_request")["body"]) == 100
        assert stack.upstream_bodies() == []


def test_chunked_body_is_incomplete_where_the_route_does_not_say_at_what_size_it_is_cut(
    make_stack,
) -> None:
    undeclared = ext_authz_route({"promptward.max_request_bytes": ""})
    with make_stack(filters=("ext_authz",), route_config=undeclared) as stack:
        assert stack.request(iter([chat_body("in pieces")])).status == 403
        assert stack.last_event("on_request")["complete"] is False
        assert stack.request(chat_body("with a length")).status == 200


def test_body_that_envoy_does_not_send_is_incomplete(make_stack) -> None:
    with make_stack(filters=("ext_authz",), authz_body={}) as stack:
        # An empty `with_request_body` is refused by Envoy, so it is left out of the filter.
        assert stack.chat("hello").status == 403
        assert stack.last_event("on_request")["complete"] is False
        assert stack.request(None, method="GET", path="/v1/models").status == 200


def test_unknown_policy_fails_closed(make_stack) -> None:
    route = ext_authz_route({"promptward.policy": "nobody"})
    with make_stack(filters=("ext_authz",), route_config=route) as stack:
        answer = stack.chat("hello")
        assert (answer.status, answer.json["error"]["code"]) == (503, "unknown_policy")
        assert stack.upstream_bodies() == []


def test_two_exchanges_on_one_connection_are_decided_one_by_one(stack) -> None:
    connection = http.client.HTTPConnection(HOST, stack.port, timeout=5)
    statuses = []
    for script in ("", "deny", ""):
        connection.request("POST", "/v1/chat/completions", chat_body("x"), {"x-script": script})
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()
    assert statuses == [200, 403, 200]
