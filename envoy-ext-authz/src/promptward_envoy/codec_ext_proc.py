"""ext_proc v3: ProcessingRequest to Exchange and Response, decisions to ProcessingResponse.

Invariants: plain functions over messages; their order is the concern of `ext_proc_session`. A
request body that is replaced always comes with its own content-length.
Source: envoy/service/ext_proc/v3/external_processor.proto.
"""

from __future__ import annotations

from promptward.decision import Allow, Deny, HeaderPairs, Mutations
from promptward.exchange import Body, Exchange, Headers
from promptward_envoy.codec import (
    add_header_options,
    decision_metadata,
    expand_removals,
    gateway_identity,
    header_pairs,
    regular_headers,
    request_id_of,
)
from promptward_envoy.descriptors import Message, ProcessingMode, ProcessingResponse

_ATTRIBUTES = "envoy.filters.http.ext_proc"
# For access logs; Envoy takes it when `metadata_options.receiving_namespaces` names it.
_METADATA_NAMESPACE = "promptward"
# Never taken from the core: Envoy frames messages.
_FRAMING = frozenset({"content-length", "transfer-encoding"})


def exchange_from_headers(message: Message, route: str) -> Exchange:
    """The request without its body, from a ProcessingRequest with `request_headers`.

    Args:
        message: a `ProcessingRequest`.
        route: a name that takes precedence over the attribute `xds.route_name`.
    """
    pairs = header_pairs(message.request_headers.headers)
    pseudo = dict(pairs)
    return Exchange(
        method=pseudo.get(":method", ""),
        host=pseudo.get(":authority", ""),
        path=pseudo.get(":path", ""),
        headers=regular_headers(pairs),
        peer=_without_port(_attribute(message, "source.address")),
        route=route or _attribute(message, "xds.route_name"),
        request_id=request_id_of(message.metadata_context),
        gateway_identity=gateway_identity(message.metadata_context),
    )


def with_body(exchange: Exchange, data: bytes) -> Exchange:
    """`exchange` with the whole body `data`."""
    return Exchange(
        method=exchange.method,
        host=exchange.host,
        path=exchange.path,
        headers=exchange.headers,
        body=Body(data),
        peer=exchange.peer,
        route=exchange.route,
        request_id=exchange.request_id,
        gateway_identity=exchange.gateway_identity,
    )


def response_head(message: Message) -> tuple[int, Headers]:
    """Status and headers from a ProcessingRequest with `response_headers`."""
    pairs = header_pairs(message.response_headers.headers)
    status = dict(pairs).get(":status", "")
    return (int(status) if status.isascii() and status.isdigit() else 0), regular_headers(pairs)


def came_from_upstream(message: Message) -> bool | None:
    """Whether an upstream wrote these response headers; None when Envoy was not asked to say.

    Envoy's own replies (another filter's denial, no healthy upstream) pass here too. The details
    are those of Envoy's response code details: `via_upstream` for every proxied answer.
    """
    details = _attribute(message, "response.code_details")
    return details == "via_upstream" if details else None


def holds_bodies(message: Message) -> bool:
    """Whether the filter is configured to hold both bodies until we answered.

    Anything else could pass bytes that nobody read, because whether a later `mode_override` is
    obeyed (`allow_mode_override`) cannot be seen from here. So another configuration is refused.
    Envoy sends its modes in the first message of a stream.
    """
    config = message.protocol_config
    return bool(
        config.request_body_mode == ProcessingMode.BUFFERED
        and config.response_body_mode == ProcessingMode.FULL_DUPLEX_STREAMED
    )


def allow_request(decision: Allow, headers: Headers, *, has_body: bool) -> Message:
    """Forward the request with its mutations, as the answer to its headers or to its body."""
    message = ProcessingResponse()
    common = (message.request_body if has_body else message.request_headers).response
    _apply(common, decision.mutations, headers)
    body = decision.mutations.body if has_body else None
    if body is not None:
        # With another content-length than the new body's Envoy answers 500.
        add_header_options(
            common.header_mutation.set_headers, (("content-length", str(len(body))),)
        )
        common.body_mutation.body = body
    metadata = message.dynamic_metadata.fields[_METADATA_NAMESPACE].struct_value.fields
    for key, value in decision_metadata(decision.ticket).items():
        metadata[key].string_value = value
    return message


def continue_request_headers() -> Message:
    """Wait for the body: Envoy holds the headers in BUFFERED mode."""
    message = ProcessingResponse()
    message.request_headers.response.SetInParent()
    return message


def response_headers(mutations: Mutations, headers: Headers) -> Message:
    """Send the response's headers on; its body follows in chunks."""
    message = ProcessingResponse()
    common = message.response_headers.response
    common.SetInParent()
    _apply(common, mutations, headers)
    return message


def without_body(message: Message) -> Message:
    """The same `response_headers`, and Envoy need not send us the body: nothing is read of it.

    Where overrides are forbidden the body comes all the same and has to be sent back.
    """
    message.mode_override.response_header_mode = ProcessingMode.SEND
    message.mode_override.response_body_mode = ProcessingMode.NONE
    message.mode_override.response_trailer_mode = ProcessingMode.SKIP
    return message


def response_chunk(data: bytes, *, end_of_stream: bool) -> Message:
    """Bytes to send on in full duplex; chunks out need not match chunks in."""
    message = ProcessingResponse()
    chunk = message.response_body.response.body_mutation.streamed_response
    chunk.body = data
    chunk.end_of_stream = end_of_stream
    return message


def response_trailers() -> Message:
    """Let the trailers go on as they are."""
    message = ProcessingResponse()
    message.response_trailers.SetInParent()
    return message


def immediate(decision: Deny, extra: HeaderPairs = ()) -> Message:
    """Answer the client now with the finished denial; its own headers win over `extra`."""
    message = ProcessingResponse()
    answer = message.immediate_response
    answer.status.code = decision.status
    own = {name for name, _ in decision.headers}
    added = tuple(p for p in extra if p[0] not in own)
    pairs = tuple((n, v) for n, v in decision.headers + added if n not in _FRAMING)
    add_header_options(answer.headers.set_headers, pairs)
    answer.body = decision.body
    answer.details = f"promptward_{decision.code}"
    return message


def _apply(common: Message, mutations: Mutations, headers: Headers) -> None:
    """Header changes. Framing is Envoy's: full duplex drops the content-length of responses."""
    changes = tuple(p for p in mutations.set_headers if p[0] not in _FRAMING)
    add_header_options(common.header_mutation.set_headers, changes)
    removed = expand_removals(mutations.remove_headers, headers)
    set_again = {name for name, _ in changes}
    common.header_mutation.remove_headers.extend(n for n in removed if n not in set_again)


def _attribute(message: Message, name: str) -> str:
    """A request attribute by its CEL name; empty when the filter does not send it."""
    if _ATTRIBUTES not in message.attributes:
        return ""
    fields = message.attributes[_ATTRIBUTES].fields
    return str(fields[name].string_value) if name in fields else ""


def _without_port(address: str) -> str:
    host, colon, _port = address.rpartition(":")
    return host.strip("[]") if colon else address
