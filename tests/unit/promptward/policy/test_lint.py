"""A rule that a gateway cannot enforce is named before it is ever needed."""

from __future__ import annotations

from typing import Any

import pytest

from promptward.capabilities import Capability, GatewayCapabilities
from promptward.policy import lint, load_policy
from promptward.testing.fakes import policy_with

NOTHING = GatewayCapabilities("bare", frozenset(), None, {Capability.STREAM_RESPONSE: "buffer it"})
EVERYTHING = GatewayCapabilities("full", frozenset(Capability), None, {}, "envoy_jwt_authn")
PII = {"id": "p", "type": "pii", "entities": [{"type": "EMAIL_ADDRESS"}]}
READS = "spec.authorization: bare cannot read the model out of the request body"


def findings(gateway: GatewayCapabilities, **spec: Any) -> list[str]:
    return [str(f) for f in lint(load_policy(policy_with(**spec)).model, gateway)]


def test_a_gateway_that_can_do_everything_has_no_findings() -> None:
    assert findings(EVERYTHING, checks=[PII], budgets=[{"id": "b", "limit": 1}]) == []


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        ({}, []),
        ({"budgets": [{"id": "b", "limit": 1}]}, ["spec.budgets[0].unit"]),
        ({"budgets": [{"id": "b", "limit": 1, "unit": "requests"}]}, []),
        ({"budgets": [{"id": "b", "limit": 1, "mode": "off"}]}, []),
        ({"token_counting": "exact"}, []),
        (
            {"budgets": [{"id": "b", "limit": 1}], "token_counting": "exact"},
            ["spec.token_counting", "spec.budgets[0].unit"],
        ),
        ({"checks": [{"id": "i", "type": "prompt_injection"}]}, ["spec.checks[0].phase"]),
        (
            {"checks": [{**PII, "phase": ["request"], "restore": False}]},
            ["spec.checks[0].phase", "spec.checks[0].entities"],
        ),
        ({"checks": [{**PII, "mode": "off"}]}, []),
        ({"mode": "off", "checks": [PII], "budgets": [{"id": "b", "limit": 1}]}, []),
    ],
)
def test_what_needs_what(spec: dict[str, Any], paths: list[str]) -> None:
    found = findings(NOTHING, **spec)
    assert found[0] == READS
    assert [f.partition(":")[0] for f in found[1:]] == paths


def test_response_checks_need_the_streaming_mode_they_name() -> None:
    window = findings(NOTHING, checks=[PII])
    assert (
        "spec.streaming.mode: bare cannot inspect event streams as they pass, which spec.checks[0]"
        " needs (buffer it)" in window
    )
    buffered = findings(NOTHING, checks=[PII], streaming={"mode": "buffer"})
    assert "spec.streaming.mode: bare cannot hold back whole event streams" in buffered
    passed = findings(NOTHING, checks=[PII], streaming={"mode": "passthrough"})
    assert not any(f.startswith("spec.streaming") for f in passed)


def test_the_setting_that_rewrites_is_named_as_the_check_calls_it() -> None:
    output = {"id": "o", "type": "output"}
    found = findings(NOTHING, checks=[{**PII, "phase": ["response"]}, output])
    rewriting = [f.partition(":")[0] for f in found if f.endswith("cannot change a response")]
    assert rewriting == ["spec.checks[0].entities", "spec.checks[1].action"]


@pytest.mark.parametrize("mode", ["enforce", "off"])  # which authenticates and authorizes too
def test_output_caps_and_identities_need_the_gateway_too(mode: str) -> None:
    rule = {"id": "r", "effect": "allow", "max_output_tokens": 5}
    issuer = {"issuer": "https://i.test", "audience": ["a"], "jwks_uri": "https://i.test/jwks"}
    found = findings(
        NOTHING,
        mode=mode,
        authorization={"rules": [rule]},
        identity={"jwt": [issuer], "gateway": {"methods": ["kong_consumer"]}},
    )
    assert {f.partition(":")[0] for f in found} == {
        "spec.identity.gateway",
        "spec.identity.jwt[0].algorithms",
        "spec.authorization",
        "spec.authorization.rules[0].max_output_tokens",
    }


@pytest.mark.parametrize("mode", ["enforce", "shadow", "off"])  # all of them authenticate
def test_trust_in_the_methods_of_other_gateways_alone_lets_nobody_in(mode: str) -> None:
    methods = ["kong_consumer", "cloudflare_access"]
    assert findings(EVERYTHING, mode=mode, identity={"gateway": {"methods": methods}}) == [
        "spec.identity.gateway.methods: full verifies callers as envoy_jwt_authn, not as"
        " kong_consumer, cloudflare_access; add envoy_jwt_authn or leave out spec.identity.gateway"
    ]
    shared = {"gateway": {"methods": [*methods, "envoy_jwt_authn"]}}
    assert findings(EVERYTHING, mode=mode, identity=shared) == []


def test_bodies_too_large_to_be_replaced() -> None:
    small = GatewayCapabilities("small", frozenset(Capability), 1 << 20, {})
    found = findings(small, checks=[PII])
    assert found == [
        "spec.limits.max_decompressed_bytes: small cannot replace bodies over 1048576 bytes;"
        " set it to that or less"
    ]


NAMES = {"url": "http://analyzer.test", "entities": [{"type": "PERSON"}]}


def test_a_classifier_needs_a_gateway_that_can_ask_one() -> None:
    assert "spec.checks[0].classifier: bare cannot ask an external classifier" in findings(
        NOTHING, checks=[PII | {"classifier": NAMES}]
    )
    assert findings(EVERYTHING, checks=[PII | {"classifier": NAMES}]) == []
    assert findings(NOTHING, checks=[PII | {"classifier": NAMES, "mode": "off"}]) == [READS]
