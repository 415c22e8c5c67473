"""Wire ↔ nouns: Fetch API requests and responses as the core's Exchange, Response and mutations.

Pure functions over plain values, so that they are tested without a Worker; `javascript` turns
Fetch objects into these values.

Invariants: what is inspected is what is forwarded; hop-by-hop fields (RFC 9110 section 7.6.1) and
what Cloudflare's network adds for itself stop here, in both directions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from promptward.decision import HeaderPairs, Mutations
from promptward.exchange import Body, Exchange, GatewayIdentity, Headers

Pairs = Iterable[tuple[str, str]]

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Set by fetch itself from the URL and the body.
_SET_BY_FETCH = frozenset({"host", "content-length", "accept-encoding", "expect"})
# Added by Cloudflare to the inbound request; the origin is told what policy decides, not this.
# https://developers.cloudflare.com/fundamentals/reference/http-headers/
_FROM_NETWORK = frozenset(
    {"cdn-loop", "true-client-ip", "x-real-ip", "x-forwarded-for", "x-forwarded-proto"}
)
_NETWORK_PREFIX = "cf-"
_NOT_FORWARDED = _HOP_BY_HOP | _SET_BY_FETCH | _FROM_NETWORK
# Fields the core reads as single-valued and whose values have no comma: fetch joins repeated
# fields with ", ", and taking them apart again lets the core refuse the repetition.
_SINGLE = frozenset(
    {"authorization", "content-encoding", "content-length", "content-type", "x-api-key", "api-key"}
)
# The runtime undoes these when a body is read; the field describes bytes we never see.
_DECODED_BY_RUNTIME = frozenset({"gzip", "x-gzip", "br"})
_ACCESS_COOKIE = "CF_Authorization"
PEER_HEADER = "cf-connecting-ip"
ACCESS_HEADER = "cf-access-jwt-assertion"


def _separated(pairs: Pairs) -> Iterable[tuple[str, str]]:
    for name, value in pairs:
        if name in _SINGLE and "," in value:
            for one in value.split(","):
                yield name, one.strip()
        else:
            yield name, value


def host_and_path(url: str) -> tuple[str, str]:
    """Host (with its port) and path with query of a Request's URL, which is always normalised."""
    host, slash, path = url.partition("#")[0].partition("://")[2].partition("/")
    return host, slash + path


def exchange(
    *,
    method: str,
    host: str,
    path: str,
    headers: Pairs,
    body: Body,
    route: str = "",
    identity: GatewayIdentity | None = None,
) -> Exchange:
    """The request as the core sees it.

    Args:
        path: path with query, as the origin will get it.
        headers: lower-case names, as `Headers` iterates them.
        route: name of this Worker's route.
        identity: what Cloudflare Access verified, once we checked its signature.
    """
    fields = Headers(_separated(headers))
    peers = fields.get_all(PEER_HEADER)
    return Exchange(
        method=method.upper(),
        host=host,
        path=path,
        headers=fields,
        body=body,
        peer=peers[0] if len(peers) == 1 else "",
        route=route,
        gateway_identity=identity,
    )


def apply(pairs: Pairs, mutations: Mutations) -> list[tuple[str, str]]:
    """Header fields after `mutations`: removals first, then replacements."""
    removed = mutations.remove_headers
    prefixes = tuple([rule[:-1] for rule in removed if rule[-1:] == "*"])
    dropped = {*removed, *[name for name, _ in mutations.set_headers]}
    kept = [
        (name, value)
        for name, value in pairs
        if name not in dropped and not name.startswith(prefixes)
    ]
    return kept + list(mutations.set_headers)


def _without_access_cookie(value: str) -> str:
    cookies = (part.strip() for part in value.split(";"))
    return "; ".join(c for c in cookies if c and not c.startswith(f"{_ACCESS_COOKIE}="))


def upstream_headers(pairs: Pairs, mutations: Mutations) -> list[tuple[str, str]]:
    """Header fields to send to the origin."""
    kept: list[tuple[str, str]] = []
    for name, value in pairs:
        if name in _NOT_FORWARDED or name.startswith(_NETWORK_PREFIX):
            continue
        shown = _without_access_cookie(value) if name == "cookie" else value
        if shown or name != "cookie":
            kept.append((name, shown))
    forwarded = [(n, v) for n, v in apply(kept, mutations) if n not in _SET_BY_FETCH]
    # StreamGuard and the JSON reader work on plain bytes.
    return [*forwarded, ("accept-encoding", "identity")]


def readable_headers(pairs: Pairs) -> list[tuple[str, str]]:
    """The origin's header fields, describing the body as the runtime hands it to us."""
    seen = list(pairs)
    encodings = {value.strip().lower() for name, value in seen if name == "content-encoding"}
    if not encodings or not encodings <= _DECODED_BY_RUNTIME:
        return seen
    return [(n, v) for n, v in seen if n not in {"content-encoding", "content-length"}]


def client_headers(pairs: Pairs, extra: HeaderPairs = ()) -> list[tuple[str, str]]:
    """Header fields to send to the client: `pairs`, with `extra` replacing fields of its names."""
    replaced = {name for name, _ in extra}
    kept = [
        (name, value)
        for name, value in pairs
        if name not in _HOP_BY_HOP and name != "content-length" and name not in replaced
    ]
    return kept + list(extra)


def unavailable(code: str) -> tuple[bytes, HeaderPairs]:
    """Body and fields of the 503 for when there is no engine to write one.

    Args:
        code: stable snake_case code.
    """
    error = {
        "message": "the gateway cannot decide on this request now",
        "type": "unavailable",
        "param": None,
        "code": code,
    }
    headers = (("content-type", "application/json; charset=utf-8"), ("cache-control", "no-store"))
    return json.dumps({"error": error}, separators=(",", ":")).encode(), headers
