"""What Envoy can enforce: two capability sets, one for each way of deploying.

`envoy` is ext_proc, alone or behind ext_authz; `envoy-ext-authz` is ext_authz alone, which sees a
request and never a response, and changes headers but no body (`OkHttpResponse` has no field for
one).
"""

from __future__ import annotations

from promptward.capabilities import Capability, GatewayCapabilities

_NEEDS_EXT_PROC = "ext_authz alone cannot {}; add the ext_proc filter (docs/how-to-envoy.md)"

ENVOY = GatewayCapabilities(
    name="envoy",
    can=frozenset(Capability),
    # Envoy holds a whole body before it is replaced, up to per_connection_buffer_limit_bytes;
    # this is what the shipped configuration sets.
    max_rewritten_body_bytes=8 * 1024 * 1024,
    notes={},
    identity_method="envoy_jwt_authn",
)

ENVOY_EXT_AUTHZ = GatewayCapabilities(
    name="envoy-ext-authz",
    can=frozenset(
        {
            Capability.READ_REQUEST_BODY,
            Capability.CHANGE_REQUEST_HEADERS,
            Capability.CHANGE_RESPONSE_HEADERS,
            Capability.ASYMMETRIC_SIGNATURES,
            Capability.EXTERNAL_CLASSIFIER,
            Capability.EXACT_TOKENS,
        }
    ),
    max_rewritten_body_bytes=0,
    notes={
        Capability.CHANGE_REQUEST_BODY: _NEEDS_EXT_PROC.format("change a request body"),
        Capability.READ_RESPONSE_BODY: _NEEDS_EXT_PROC.format("see a response"),
        Capability.CHANGE_RESPONSE_BODY: _NEEDS_EXT_PROC.format("change a response"),
        Capability.STREAM_RESPONSE: _NEEDS_EXT_PROC.format("inspect a stream"),
        Capability.BUFFER_RESPONSE: _NEEDS_EXT_PROC.format("hold a response"),
        Capability.OBSERVE_USAGE: _NEEDS_EXT_PROC.format(
            "see the usage an upstream reports; budgets are charged as estimated"
        ),
    },
    identity_method="envoy_jwt_authn",
)
