"""What both codecs share: Envoy's header maps and structs to and from the core's nouns.

Invariants: plain functions, no state, no I/O. Header bytes are read and written as ISO-8859-1, so
every octet survives unchanged. Pseudo-headers never reach `Headers`, and
`x-envoy-auth-partial-body` never does either: where it means something it is Envoy's word, and
anywhere else it is a client's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from promptward.audit import shown_name
from promptward.decision import HeaderPairs, Ticket
from promptward.exchange import JSON, GatewayIdentity, Headers
from promptward_envoy.descriptors import Message

PARTIAL_BODY_HEADER = "x-envoy-auth-partial-body"
JWT_AUTHN_NAMESPACE = "envoy.filters.http.jwt_authn"
EXT_AUTHZ_NAMESPACE = "envoy.filters.http.ext_authz"
REQUEST_ID_KEY = "promptward_request_id"

# HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD (envoy/config/core/v3/base.proto)
_OVERWRITE_OR_ADD = 2
# Beyond this a double no longer holds every integer (IEEE 754, 53 bits of significand).
_MAX_EXACT_INTEGER = 2**53


def header_pairs(header_map: Message) -> list[tuple[str, str]]:
    """Every field of a `HeaderMap`, pseudo-headers included, in order."""
    pairs = []
    for field in header_map.headers:
        raw = field.raw_value  # read once: every access makes a new object
        pairs.append((field.key.lower(), raw.decode("latin-1") if raw else field.value))
    return pairs


def regular_headers(pairs: Iterable[tuple[str, str]]) -> Headers:
    """The fields a client may send: no pseudo-headers, no partial-body marker."""
    return Headers([p for p in pairs if p[0][:1] != ":" and p[0] != PARTIAL_BODY_HEADER])


def add_header_options(target: Message, pairs: HeaderPairs, *, raw: bool = True) -> None:
    """Append `pairs` to a repeated HeaderValueOption field, each replacing what is there.

    Args:
        raw: use `raw_value`, which takes any octets; ext_authz reads only `value`.
    """
    for name, value in pairs:
        option = target.add()
        option.append_action = _OVERWRITE_OR_ADD
        header = option.header
        header.key = name
        if raw:
            header.raw_value = value.encode("latin-1", "replace")
        else:
            header.value = value


def expand_removals(patterns: tuple[str, ...], headers: Headers) -> list[str]:
    """Those names in `headers` that match `patterns`: exact, or `prefix*`; sorted."""
    exact, prefixes = _split_patterns(patterns)
    return sorted({n for n, _ in headers if n in exact or n.startswith(prefixes)})


@lru_cache(maxsize=1024)  # a policy has a handful of removal lists; they come with every request
def _split_patterns(patterns: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    exact = frozenset(p for p in patterns if not p.endswith("*"))
    return exact, tuple(p[:-1] for p in patterns if p.endswith("*"))


def value_to_json(value: Message) -> JSON:
    """A `google.protobuf.Value` as JSON; whole numbers become integers again."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return struct_to_json(value.struct_value)
    if kind == "list_value":
        return [value_to_json(item) for item in value.list_value.values]
    if kind == "number_value":
        number = float(value.number_value)
        exact = number.is_integer() and abs(number) <= _MAX_EXACT_INTEGER
        return int(number) if exact else number
    if kind == "string_value":
        return str(value.string_value)
    return bool(value.bool_value) if kind == "bool_value" else None


def struct_to_json(struct: Message) -> dict[str, JSON]:
    """A `google.protobuf.Struct` as a JSON object."""
    return {key: value_to_json(value) for key, value in struct.fields.items()}


def gateway_identity(metadata: Message) -> GatewayIdentity | None:
    """What Envoy's jwt_authn filter verified, from its dynamic metadata.

    The filter writes each payload under the name its `payload_in_metadata` gives. More than one
    verified payload is ambiguous, and so is none: both give no identity.
    """
    if JWT_AUTHN_NAMESPACE not in metadata.filter_metadata:
        return None
    fields = struct_to_json(metadata.filter_metadata[JWT_AUTHN_NAMESPACE])
    payloads = [value for value in fields.values() if isinstance(value, dict) and value]
    if len(payloads) != 1:
        return None
    return GatewayIdentity("envoy_jwt_authn", payloads[0])


def request_id_of(metadata: Message) -> str:
    """The request id our own ext_authz filter left for ext_proc; empty when it did not run.

    Only filters write dynamic metadata, never a client, so unlike `x-request-id` it can key a
    reservation.
    """
    if EXT_AUTHZ_NAMESPACE not in metadata.filter_metadata:
        return ""
    struct = metadata.filter_metadata[EXT_AUTHZ_NAMESPACE]
    return (
        str(struct.fields[REQUEST_ID_KEY].string_value) if REQUEST_ID_KEY in struct.fields else ""
    )


def decision_metadata(ticket: Ticket) -> Mapping[str, str]:
    """What may leave as dynamic metadata (access log, ext_proc): never the vault, claims, texts."""
    return {
        REQUEST_ID_KEY: ticket.request_id,
        "promptward_policy": f"{ticket.policy.name}@{ticket.policy.version}",
        "promptward_model": shown_name(ticket.model),
    }
