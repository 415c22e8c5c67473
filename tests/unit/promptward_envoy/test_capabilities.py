"""The two capability sets, and that `promptward lint` finds them."""

from __future__ import annotations

from importlib.metadata import entry_points

from promptward.capabilities import Capability, GatewayCapabilities
from promptward_envoy.bootstrap import BUFFER_LIMIT_BYTES
from promptward_envoy.capabilities import ENVOY, ENVOY_EXT_AUTHZ


def test_both_sets_are_announced() -> None:
    announced = {e.name: e.load() for e in entry_points(group="promptward.gateways")}
    assert announced["envoy"] is ENVOY
    assert announced["envoy-ext-authz"] is ENVOY_EXT_AUTHZ


def test_ext_authz_alone_never_sees_a_response_nor_changes_a_body() -> None:
    missing = set(Capability) - ENVOY_EXT_AUTHZ.can
    assert missing >= {
        Capability.CHANGE_REQUEST_BODY,
        Capability.READ_RESPONSE_BODY,
        Capability.OBSERVE_USAGE,
    }
    assert ENVOY_EXT_AUTHZ.can < ENVOY.can


def test_everything_missing_says_what_to_do() -> None:
    for gateway in (ENVOY, ENVOY_EXT_AUTHZ):
        assert isinstance(gateway, GatewayCapabilities)
        for capability in set(Capability) - gateway.can:
            assert "ext_proc" in gateway.notes[capability]


def test_bodies_to_rewrite_fit_into_envoys_buffer() -> None:
    assert ENVOY.max_rewritten_body_bytes == BUFFER_LIMIT_BYTES
