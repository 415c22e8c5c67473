"""What a gateway can enforce. A policy that needs more is refused when it loads.

Invariant: every capability here is declared by at least one adapter; there is no "partly". What a
policy needs is derived in `policy.lint`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from promptward.exchange import GatewayMethod


class Capability(StrEnum):
    """One thing that a gateway either can do or cannot."""

    READ_REQUEST_BODY = "read_request_body"
    CHANGE_REQUEST_BODY = "change_request_body"
    CHANGE_REQUEST_HEADERS = "change_request_headers"
    READ_RESPONSE_BODY = "read_response_body"
    CHANGE_RESPONSE_BODY = "change_response_body"
    CHANGE_RESPONSE_HEADERS = "change_response_headers"
    STREAM_RESPONSE = "stream_response"  # inspect and change events as they pass
    BUFFER_RESPONSE = "buffer_response"  # hold a whole response, event streams included
    OBSERVE_USAGE = "observe_usage"  # see the usage that the upstream reports
    ASYMMETRIC_SIGNATURES = "asymmetric_signatures"
    EXTERNAL_CLASSIFIER = "external_classifier"
    EXACT_TOKENS = "exact_tokens"  # a tokenizer library can be installed


@dataclass(frozen=True, slots=True)
class GatewayCapabilities:
    """A named capability set, for example `envoy` or `envoy-ext-authz`.

    Attributes:
        name: what `promptward lint --gateway` takes.
        can: the capabilities.
        max_rewritten_body_bytes: largest body the gateway can have replaced, or None.
        notes: capability -> why it is missing and what to do instead, for messages.
        identity_method: how it verifies the identities that it passes on; None: it passes on none.
    """

    name: str
    can: frozenset[Capability]
    max_rewritten_body_bytes: int | None
    notes: dict[Capability, str]
    identity_method: GatewayMethod | None = None
