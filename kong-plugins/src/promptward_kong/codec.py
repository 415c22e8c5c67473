"""Kong's values to the core's nouns and back, and the tuples that carry them to a worker.

Invariants: plain functions, no I/O. Order within repeated headers is kept; Kong loses the order
between different names, so names are sorted, to be the same every time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import cast

from promptward.decision import Deny, HeaderPairs, Mutations, PolicyRef, Principal, Ticket
from promptward.exchange import JSON, Body, Exchange, GatewayIdentity, Headers
from promptward.jsoncompact import compact_encoder
from promptward.values import value_object

# ngx.req.get_headers gives this many at most, so this many may mean more.
MAX_HEADERS = 1000


@value_object(frozen=True, slots=True)
class RequestFacts:
    """A request as Kong shows it; what goes to a worker."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    complete: bool
    route: str
    claims: dict[str, JSON] | None

    def pack(self) -> list[object]:
        return [
            self.method,
            self.path,
            self.headers,
            self.body,
            self.complete,
            self.route,
            self.claims,
        ]


def exchange_of(payload: object) -> Exchange:
    """The exchange in a packed `RequestFacts`."""
    method, path, headers, body, complete, route, claims = cast("list[object]", payload)
    pairs = Headers((str(n), str(v)) for n, v in cast("list[list[str]]", headers))
    hosts = pairs.get_all("host")
    identity = None
    if claims is not None:
        identity = GatewayIdentity("kong_consumer", cast("dict[str, JSON]", claims))
    return Exchange(
        method=str(method),
        host=hosts[0] if hosts else "",
        path=str(path),
        headers=pairs,
        body=Body(cast("bytes", body), bool(complete)),
        route=str(route),
        gateway_identity=identity,
    )


def split_request_line(line: str) -> tuple[str, str, str]:
    """Method, target and version of a request line.

    Raises:
        ValueError: it has not three parts.
    """
    method, _, rest = line.partition(" ")
    target, _, version = rest.rpartition(" ")
    if not method or not target or not version.startswith("HTTP/"):
        raise ValueError("not a request line")
    return method.upper(), origin_form(target), version


def origin_form(target: str) -> str:
    """The path and query of a request target (absolute form, RFC 9112 section 3.2.2)."""
    scheme, found, rest = target.partition("://")
    if found and scheme.isalpha():
        _, slash, path = rest.partition("/")
        return slash + path or "/"
    return target


def header_pairs(headers: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """Kong's header table as pairs."""
    return [(name.lower(), value) for name in sorted(headers) for value in headers[name]]


def content_length(headers: Mapping[str, list[str]]) -> int | None:
    """The declared length, or None when there is none or it cannot be believed."""
    values = headers.get("content-length", [])
    digits = len(values) == 1 and values[0].isascii() and values[0].isdigit()
    return int(values[0]) if digits else None


def is_http_1(version: str) -> bool:
    """Whether Kong can buffer the answer to a request of this HTTP version (kong/init.lua,
    Kong.access: "response buffering was turned off: incompatible HTTP version")."""
    return version in ("HTTP/1.0", "HTTP/1.1")


def may_have_body(version: str, headers: Mapping[str, list[str]]) -> bool:
    """Whether reading the body can give anything. HTTP/1 announces a body; HTTP/2 need not."""
    if not is_http_1(version):
        return True
    if "transfer-encoding" in headers:
        return True
    return "content-length" in headers and content_length(headers) != 0


def consumer_claims(
    consumer: Mapping[str, object] | None,
    credential: Mapping[str, object] | None,
    groups: Iterable[str],
) -> dict[str, JSON] | None:
    """Kong's consumer as claims, or None when no credential of a consumer was verified.

    `sub` is the consumer's username, else its custom id, else its id; `groups` are its groups.
    """
    if consumer is None or credential is None:
        return None  # an `anonymous` consumer proves nothing: nobody presented a credential
    claims: dict[str, JSON] = {}
    for claim, key in (
        ("consumer_id", "id"),
        ("consumer_username", "username"),
        ("consumer_custom_id", "custom_id"),
    ):
        value = consumer.get(key)
        if isinstance(value, str) and value:
            claims[claim] = value
    tags = consumer.get("tags")
    if isinstance(tags, list):
        claims["tags"] = [tag for tag in tags if isinstance(tag, str)]
    if isinstance(credential.get("id"), str):
        claims["credential_id"] = cast("str", credential["id"])
    names: list[JSON] = list(dict.fromkeys(groups))
    claims["groups"] = names
    for key in ("consumer_username", "consumer_custom_id", "consumer_id"):
        if key in claims:
            claims["sub"] = claims[key]
            return claims
    return None


def removals(patterns: Iterable[str], present: Iterable[str]) -> list[str]:
    """The present header names that `patterns` (exact, or a prefix and `*`) take away."""
    exact, prefixes = set(), []
    for pattern in patterns:
        if pattern.endswith("*"):
            prefixes.append(pattern[:-1])
        else:
            exact.add(pattern)
    return sorted(
        name for name in present if name in exact or any(name.startswith(p) for p in prefixes)
    )


def pack_mutations(mutations: Mutations) -> list[object]:
    return [mutations.set_headers, mutations.remove_headers, mutations.body]


def pack_deny(deny: Deny) -> list[object]:
    return ["deny", deny.status, deny.body, deny.headers]


def header_table(pairs: HeaderPairs | list[list[str]]) -> dict[str, str | list[str]]:
    """Pairs as the table that Kong's set_headers and exit take."""
    table: dict[str, str | list[str]] = {}
    for name, value in pairs:
        before = table.get(name)
        if before is None:
            table[name] = value
        else:
            table[name] = [*(before if isinstance(before, list) else [before]), value]
    return table


# Kong hears of every response, so nothing is charged where it is reserved.
_TICKET_FIELDS = tuple(field.name for field in fields(Ticket) if field.name != "charged")
_PRINCIPAL = _TICKET_FIELDS.index("principal")
_POLICY = _TICKET_FIELDS.index("policy")
_BUDGETS = _TICKET_FIELDS.index("budgets")


def pack_ticket(ticket: Ticket) -> bytes:
    """A ticket as bytes: the values of its fields, in order, as JSON (claims may hold any number).

    They stay in this server's memory, where there may be thousands: the vault is personal data.
    """
    values = [getattr(ticket, name) for name in _TICKET_FIELDS]
    return _encode(values).encode()


def _listed(value: object) -> object:
    match value:
        case Principal():
            return [value.id, value.method, value.claims]
        case PolicyRef():
            return [value.name, value.version, value.sha256]
        case Mapping():
            return dict(value)
    raise TypeError(f"a ticket does not hold {type(value).__name__}")


_encode = compact_encoder(_listed)


def unpack_ticket(data: bytes) -> Ticket:
    """The inverse of `pack_ticket`."""
    values = json.loads(data)
    values[_PRINCIPAL] = Principal(*values[_PRINCIPAL])
    values[_POLICY] = PolicyRef(*values[_POLICY])
    values[_BUDGETS] = tuple(values[_BUDGETS])
    return Ticket(*values)
