"""The Envoy configuration: what differs from the defaults, and that it is never open."""

from __future__ import annotations

import json

import pytest

from promptward_envoy.bootstrap import Bootstrap, envoy_config, ext_authz_route, ext_proc_route


def config(**settings):
    base = {
        "listen": ("127.0.0.1", 10000),
        "services": ["unix:/run/pw.sock", "127.0.0.1:9911"],
        "upstream": "http://127.0.0.1:8000",
        "admin_socket": "/run/admin.sock",
        "filters": ("ext_authz", "ext_proc"),
    }
    made = envoy_config(Bootstrap(**{**base, **settings}))
    return json.loads(json.dumps(made))["static_resources"]


def manager(resources):
    chain = resources["listeners"][0]["filter_chains"][0]
    return chain["filters"][0]["typed_config"]


def cluster(resources, name):
    return next(c for c in resources["clusters"] if c["name"] == name)


def filters(resources):
    return {
        f["name"].rpartition(".")[2]: f["typed_config"] for f in manager(resources)["http_filters"]
    }


def test_no_filter_may_fail_open() -> None:
    made = filters(config())
    assert made["ext_authz"]["failure_mode_allow"] is False
    assert made["ext_proc"]["failure_mode_allow"] is False


def test_ext_proc_holds_bodies_and_knows_who_answered() -> None:
    made = filters(config())["ext_proc"]
    assert made["processing_mode"]["request_body_mode"] == "BUFFERED"
    assert made["processing_mode"]["response_body_mode"] == "FULL_DUPLEX_STREAMED"
    assert "response.code_details" in made["response_attributes"]


def test_filters_keep_their_order_and_the_router_is_last() -> None:
    names = [
        f["name"] for f in manager(config(filters=({"name": "x"}, "ext_proc")))["http_filters"]
    ]
    assert names == ["x", "envoy.filters.http.ext_proc", "envoy.filters.http.router"]


def test_cut_bodies_are_not_asked_for() -> None:
    body = filters(config())["ext_authz"]["with_request_body"]
    assert "allow_partial_message" not in body
    assert "with_request_body" not in filters(config(authz_body={}))["ext_authz"]


def test_every_worker_is_an_endpoint_and_a_dead_one_gets_nothing() -> None:
    service = cluster(config(), "promptward")
    endpoints = service["load_assignment"]["endpoints"][0]["lb_endpoints"]
    addresses = [e["endpoint"]["address"] for e in endpoints]
    assert addresses == [
        {"pipe": {"path": "/run/pw.sock"}},
        {"socket_address": {"address": "127.0.0.1", "port_value": 9911}},
    ]
    assert service["common_lb_config"] == {
        "healthy_panic_threshold": {"value": 0},
        "update_merge_window": "0s",
    }
    assert service["health_checks"][0]["grpc_health_check"] == {}


def test_https_upstream_is_verified_and_gets_its_own_host() -> None:
    made = config(upstream="https://api.example.com/openai/")
    upstream = cluster(made, "upstream")
    tls = upstream["transport_socket"]["typed_config"]
    assert tls["sni"] == "api.example.com"
    validation = tls["common_tls_context"]["validation_context"]
    assert validation["match_typed_subject_alt_names"][0]["matcher"] == {"exact": "api.example.com"}
    address = upstream["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    assert address["socket_address"]["port_value"] == 443
    route = manager(made)["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    assert route["host_rewrite_literal"] == "api.example.com"
    assert route["prefix_rewrite"] == "/openai/"


@pytest.mark.parametrize("upstream", ["api.example.com", "ftp://x", "https://", ""])
def test_upstream_must_be_a_url(upstream) -> None:
    with pytest.raises(ValueError, match="upstream must be"):
        config(upstream=upstream)


def test_route_settings() -> None:
    settings = ext_authz_route({"promptward.policy": "strict"})["envoy.filters.http.ext_authz"]
    extensions = settings["check_settings"]["context_extensions"]
    assert extensions == {"promptward.policy": "strict"}
    overrides = ext_proc_route({"x-promptward-policy": "strict"})["envoy.filters.http.ext_proc"]
    assert overrides["overrides"]["grpc_initial_metadata"] == [
        {"key": "x-promptward-policy", "value": "strict"}
    ]
