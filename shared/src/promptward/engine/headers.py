"""Header changes on the way up and down."""

from __future__ import annotations

from functools import lru_cache

from promptward.decision import HeaderPairs
from promptward.exchange import Headers

# hop-by-hop fields that would let two readers disagree about a body (RFC 9112 section 6.3)
_BODY_FIELDS = ("content-encoding", "content-md5", "digest", "content-digest", "repr-digest")


def request_removals(
    strip: tuple[str, ...], headers: Headers, body_changed: bool
) -> tuple[str, ...]:
    """Names to drop before the upstream sees the request.

    Args:
        strip: credentials and inbound identity headers (exact, or a prefix ending in `*`).
        headers: of the request. CGI and WSGI upstreams read `x_user` and `x-user` as one name
            (RFC 3875 section 4.1.18), so whatever is stripped is stripped in both spellings.
        body_changed: digests and encodings of the old body are dropped.
    """
    odd = [name for name, _ in headers.pairs if "_" in name]
    if odd:
        strip += _stripped_spellings(strip, odd)
        return tuple(dict.fromkeys(strip + _BODY_FIELDS if body_changed else strip))
    return _usual_removals(strip, body_changed)


@lru_cache(maxsize=1024)  # by policy, as with most requests
def _usual_removals(strip: tuple[str, ...], body_changed: bool) -> tuple[str, ...]:
    return tuple(dict.fromkeys(strip + _BODY_FIELDS if body_changed else strip))


def _stripped_spellings(strip: tuple[str, ...], names: list[str]) -> tuple[str, ...]:
    prefixes = tuple(name[:-1] for name in strip if name.endswith("*"))
    dashed = [(name, name.replace("_", "-")) for name in names]
    return tuple(name for name, d in dashed if d in strip or d.startswith(prefixes))


def response_removals(headers: Headers, body_changed: bool) -> tuple[str, ...]:
    """Names to drop from a response whose body was changed."""
    if not body_changed:
        return ()
    present = {n for n, _ in headers}
    return tuple(n for n in (*_BODY_FIELDS, "etag") if n in present)


def identity_encoding(inspects_response: bool) -> HeaderPairs:
    """Ask for an unencoded answer when it must be read (RFC 9110 section 12.5.3)."""
    return (("accept-encoding", "identity"),) if inspects_response else ()
