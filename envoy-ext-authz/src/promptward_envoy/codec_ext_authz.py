"""ext_authz v3: CheckRequest to Exchange, Decision to CheckResponse.

Invariants: ext_authz cannot change a body (`OkHttpResponse` has no field for one), so an Allow
that needs a new body cannot be encoded here; the service refuses it first. Whether the body is
whole is Envoy's word, checked against content-length or, without one, against the size at which
Envoy cuts. Source: envoy/service/auth/v3.
"""

from __future__ import annotations

from collections.abc import Mapping

from promptward.decision import Allow, Deny
from promptward.exchange import Body, Exchange, Headers
from promptward_envoy.codec import (
    PARTIAL_BODY_HEADER,
    add_header_options,
    decision_metadata,
    expand_removals,
    gateway_identity,
    header_pairs,
    regular_headers,
)
from promptward_envoy.descriptors import CheckResponse, Message

Extensions = Mapping[str, str]

# google.rpc.Code: any non-zero code denies; this one is what Envoy's own examples use.
_PERMISSION_DENIED = 7
_METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_MAX_DIGITS = 19  # of an int64
# Keys of a route's context_extensions.
ROUTE_EXTENSION = "promptward.route"
MAX_REQUEST_BYTES_EXTENSION = "promptward.max_request_bytes"


def exchange_from_check(request: Message) -> Exchange:
    """The request Envoy asks about.

    Args:
        request: a `CheckRequest`. Of its `context_extensions`, `promptward.route` names the matched
            route and `promptward.max_request_bytes` says at what size Envoy cuts a body.
    """
    extensions = context_extensions(request)
    http = request.attributes.request.http
    if http.HasField("header_map"):
        pairs = header_pairs(http.header_map)
    else:
        pairs = [(name.lower(), value) for name, value in http.headers.items()]
    headers = regular_headers(pairs)
    markers = [value for name, value in pairs if name == PARTIAL_BODY_HEADER]
    marker = http.headers.get(PARTIAL_BODY_HEADER) or (markers[-1] if markers else None)
    data = http.raw_body or http.body.encode("utf-8")
    cut_at = _byte_count(extensions.get(MAX_REQUEST_BYTES_EXTENSION, ""))
    complete = _is_complete(marker, data, headers, http.size, http.method, cut_at)
    return Exchange(
        method=http.method,
        host=http.host,
        path=http.path,
        headers=headers,
        body=Body(data, complete),
        peer=peer_address(request.attributes.source.address),
        route=extensions.get(ROUTE_EXTENSION, ""),
        gateway_identity=gateway_identity(request.attributes.metadata_context),
    )


def context_extensions(request: Message) -> Extensions:
    """The route's own settings (`CheckSettings.context_extensions`)."""
    extensions: Extensions = request.attributes.context_extensions
    return extensions


def peer_address(address: Message) -> str:
    """IP address of a socket address, or an empty string."""
    return str(address.socket_address.address)


def _byte_count(text: str) -> int:
    """A size in bytes as an operator writes it; 0 for anything else, which trusts nothing."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS else 0


def _is_complete(
    marker: str | None, data: bytes, headers: Headers, size: int, method: str, cut_at: int
) -> bool:
    """Whether `data` is the whole body.

    Envoy writes the marker itself whenever `with_request_body` is configured and drops one sent by
    a client. It is absent for a request without a body, and always when the setting is missing:
    then only a request that cannot have a body is whole.

    "false" is not enough for a body without content-length. With `allow_partial_message` Envoy
    asks as soon as `max_request_bytes` have come and compares the marker with what it has then
    (check_request_utils.cc, setHttpRequest), so a body that stands at exactly that size while
    more is on its way is called whole. Hence `cut_at`: only a shorter body is known to have ended.
    """
    if marker == "true":
        return False
    lengths = headers.get_all("content-length")
    if any(length != str(len(data)) for length in lengths):
        return False
    if marker == "false":
        return bool(lengths) or len(data) < cut_at
    unsaid = not lengths and method in _METHODS_WITH_BODY
    return not data and size <= 0 and not unsaid and not headers.get_all("transfer-encoding")


def response_from_allow(decision: Allow, headers: Headers) -> Message:
    """A `CheckResponse` that lets the request through with its header changes."""
    response = CheckResponse()
    ok = response.ok_response
    add_header_options(ok.headers, decision.mutations.set_headers, raw=False)
    ok.headers_to_remove.extend(expand_removals(decision.mutations.remove_headers, headers))
    add_header_options(ok.response_headers_to_add, decision.response_headers, raw=False)
    metadata = response.dynamic_metadata.fields
    for key, value in decision_metadata(decision.ticket).items():
        metadata[key].string_value = value
    return response


def response_from_deny(decision: Deny) -> Message:
    """A `CheckResponse` that answers the client at once."""
    response = CheckResponse()
    response.status.code = _PERMISSION_DENIED
    denied = response.denied_response
    denied.status.code = decision.status
    add_header_options(denied.headers, decision.headers, raw=False)
    denied.body = decision.body.decode("utf-8", "replace")
    response.dynamic_metadata.fields["promptward_code"].string_value = decision.code
    return response
