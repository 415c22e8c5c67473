"""ext_authz and ext_proc on one route: decided twice, charged once; identity from jwt_authn."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator

import jwt
import pytest

from promptward_envoy.bootstrap import (
    Bootstrap,
    ext_authz_route,
    ext_proc_filter,
    ext_proc_route,
)
from promptward_envoy.testing.stack import Stack

pytestmark = pytest.mark.envoy
HANDED_OVER = ext_authz_route({"promptward.then": "ext_proc"})
KEY = b"k" * 32


@pytest.fixture(scope="module")
def both_filters(make_stack) -> Iterator[Stack]:
    with make_stack(filters=("ext_authz", "ext_proc"), route_config=HANDED_OVER) as made:
        yield made


@pytest.fixture
def both(both_filters) -> Stack:
    """One stack for several tests, each with a clean record."""
    both_filters.forget()
    return both_filters


def test_both_filters_use_one_request_id_and_settle_once(both) -> None:
    answer = both.chat("my SECRET", script="redact")
    assert answer.status == 200
    assert both.upstream_bodies()[-1]["messages"][0]["content"] == "my [redacted]"
    ids = [e["id"] for e in both.events() if e["event"] == "on_request"]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert settlements(both) == [("on_response", ids[0])]


def test_denial_of_ext_authz_passes_ext_proc(both) -> None:
    """ext_proc sees the response headers of a request that it never saw."""
    answer = both.chat("hello", script="deny")
    assert (answer.status, answer.json["error"]["code"]) == (403, "scripted")
    assert both.upstream_bodies() == []


def test_client_that_always_sends_the_same_request_id_is_charged_each_time(both) -> None:
    body = b'{"messages": []}'
    for _ in range(3):
        both.request(body, headers={"x-request-id": "00000000-0000-4000-8000-000000000000"})
    ids = {e["id"] for e in both.events() if e["event"] == "on_request"}
    assert len(ids) == 3


def test_without_hand_over_ext_authz_settles_and_ext_proc_repeats_it_harmlessly(make_stack) -> None:
    with make_stack(filters=("ext_authz", "ext_proc")) as stack:
        assert stack.chat("hello").status == 200
        ids = {e["id"] for e in stack.events() if e["event"] == "on_request"}
        assert len(ids) == 1
        assert {id_ for _event, id_ in settlements(stack)} == ids


def test_unknown_policy_on_the_route_fails_closed_in_ext_proc(make_stack) -> None:
    route = ext_proc_route({"x-promptward-policy": "nobody"})
    with make_stack(route_config=route) as stack:
        # A client's header of the same name is a request header, not gRPC metadata.
        answer = stack.request(b"{}", headers={"x-promptward-policy": ""})
        assert (answer.status, answer.json["error"]["code"]) == (503, "unknown_policy")
        assert stack.upstream_bodies() == []


def test_route_names_itself_to_ext_proc(make_stack) -> None:
    with make_stack(route_config=ext_proc_route({"x-promptward-route": "chat"})) as stack:
        stack.request(b'{"messages": []}', headers={"x-promptward-route": "spoofed"})
        assert stack.last_event("on_request")["route"] == "chat"


@pytest.mark.parametrize("filters", [("ext_proc",), ("ext_authz",)])
def test_claims_that_jwt_authn_verified_reach_the_engine(make_stack, filters) -> None:
    with make_stack(filters=(jwt_authn(), *filters)) as stack:
        claims = {"iss": "test", "sub": "ann", "exp": int(time.time()) + 600, "r": ["a", 2, 1.5]}
        token = jwt.encode(claims, KEY, "HS256", {"kid": "1"})
        headers = {"authorization": f"Bearer {token}"}
        assert stack.request(b'{"messages": []}', headers=headers).status == 200
        assert stack.last_event("on_request")["claims"] == claims
        seen = len(stack.events())
        assert stack.request(b"{}", headers={"authorization": f"Bearer {token}x"}).status == 401
        assert len(stack.events()) == seen


def test_ext_proc_refuses_a_configuration_that_could_pass_bodies_unread(make_stack) -> None:
    """With body modes NONE the request would be decided without its body."""
    for mode in ({"request_body_mode": "NONE"}, {"response_body_mode": "NONE"}):
        filter_ = ext_proc_filter(Bootstrap(("", 0), [], "", ""))
        filter_["typed_config"]["processing_mode"].update(mode)
        with make_stack(filters=(filter_,)) as stack:
            assert stack.chat("SECRET").status == 503
            assert stack.upstream_bodies() == []


def test_forbidden_mode_override_is_slower_but_not_open(make_stack) -> None:
    """Streams then arrive whole and are still redacted."""
    filter_ = ext_proc_filter(Bootstrap(("", 0), [], "", ""))
    filter_["typed_config"]["allow_mode_override"] = False
    with make_stack(filters=(filter_,)) as stack:
        answer = stack.chat("a SECRET [[split:500]]", stream=True)
        assert b"SECRET" not in answer.body
        passed = stack.chat("SECRET stays", script="pass")
        assert b"SECRET stays" in passed.body


def settlements(stack) -> list[tuple[str, str]]:
    """Every settlement that the engine was asked for: the call and the request id."""
    asked = {"on_response", "on_unseen_response", "on_no_response", "close_stream"}
    return [(e["event"], e["id"]) for e in stack.events() if e["event"] in asked]


def jwt_authn() -> dict:
    """Envoy's own JWT filter with a key of ours."""
    key = base64.urlsafe_b64encode(KEY).rstrip(b"=").decode()
    jwks = {"keys": [{"kty": "oct", "kid": "1", "alg": "HS256", "k": key}]}
    name = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
    provider = {
        "issuer": "test",
        "local_jwks": {"inline_string": json.dumps(jwks)},
        "payload_in_metadata": "verified",
    }
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": f"type.googleapis.com/{name}",
            "providers": {"p": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "p"}}],
        },
    }
