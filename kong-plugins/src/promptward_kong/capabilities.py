"""What Kong can enforce through its external plugin API (Kong Gateway 3.9, kong-pdk 0.36).

Two sets, because Kong decides by the mere existence of a `response` handler whether every response
of a route is buffered: `promptward` streams and cannot touch responses, `promptward-buffered` can
inspect and change them and never streams.
"""

from __future__ import annotations

from promptward.capabilities import Capability, GatewayCapabilities

# Kong's Lua side reads our messages in quadratic time: 1 MB 0.1 s, 4 MB 1.3 s, 8 MB 14 s, and the
# worker serves nobody else meanwhile. 4 MiB is the largest body that stays under the deadlines.
MAX_REWRITTEN_BODY_BYTES = 4 << 20

_REQUEST = frozenset(
    {
        Capability.READ_REQUEST_BODY,
        Capability.CHANGE_REQUEST_BODY,
        Capability.CHANGE_REQUEST_HEADERS,
        Capability.OBSERVE_USAGE,
        Capability.ASYMMETRIC_SIGNATURES,
        Capability.EXTERNAL_CLASSIFIER,
        Capability.EXACT_TOKENS,
    }
)

_NO_STREAM = (
    "Kong's plugin API has no body_filter; set spec.streaming.mode to buffer and use the plugin"
    " promptward-buffered"
)
_NO_RESPONSE = "use the plugin promptward-buffered, which holds responses back"

KONG = GatewayCapabilities(
    name="kong",
    can=_REQUEST,
    max_rewritten_body_bytes=MAX_REWRITTEN_BODY_BYTES,
    notes={
        Capability.STREAM_RESPONSE: _NO_STREAM,
        Capability.READ_RESPONSE_BODY: _NO_RESPONSE,
        Capability.CHANGE_RESPONSE_BODY: _NO_RESPONSE,
        Capability.CHANGE_RESPONSE_HEADERS: _NO_RESPONSE,
        Capability.BUFFER_RESPONSE: _NO_RESPONSE,
    },
    identity_method="kong_consumer",
)

KONG_BUFFERED = GatewayCapabilities(
    name="kong-buffered",
    can=_REQUEST
    | {
        Capability.READ_RESPONSE_BODY,
        Capability.CHANGE_RESPONSE_BODY,
        Capability.CHANGE_RESPONSE_HEADERS,
        Capability.BUFFER_RESPONSE,
    },
    max_rewritten_body_bytes=MAX_REWRITTEN_BODY_BYTES,
    notes={Capability.STREAM_RESPONSE: _NO_STREAM},
    identity_method="kong_consumer",
)
