"""The Kong PDK as the phases use it: kong-pdk's call objects, awaited, with checked results.

Kong drops the error of a failed PDK call, so that `None` never means "empty" (see `get_raw_body`);
values Kong hands over are checked here and are typed from here on.

Invariants: every call here is legal in the phases named below it. A call in the wrong phase raises
inside Kong, which answers the client 500 and never answers us.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Generic, ParamSpec, TypeVar

from kong_pdk.pdk import FakeClasses, non_return_methods  # type: ignore[import-untyped]

from promptward_kong.effects import PdkCall

P = ParamSpec("P")
T = TypeVar("T")

TERMINAL_METHODS: frozenset[str] = frozenset(non_return_methods)

# kong.request.get_headers refuses more; the default of 100 would hide headers from the checks.
MAX_HEADERS = 1000


class PdkError(Exception):
    """Kong answered a PDK call with something the call cannot return."""


HeaderValue = str | bytes | list[str] | list[bytes] | list[str | bytes]
Headers = Mapping[str, HeaderValue]

_kong = FakeClasses("kong", lambda method, *args: PdkCall(method, args))


class _Call(Generic[P, T]):
    """A PDK method: awaiting a call gives its checked result.

    Args:
        method: its name behind `kong.`.
        check: gives the result its type, or raises PdkError; gets the method's name for that.
        fixed: arguments of every call.
    """

    def __init__(self, method: str, check: Callable[[object, str], T], *fixed: object) -> None:
        # Resolved once: kong-pdk builds one object for every dot of every call.
        self._made: Callable[..., PdkCall] = reduce(getattr, method.split("."), _kong)
        self._method = method
        self._check = check
        self._fixed = fixed

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        assert not kwargs, "Kong's methods have no named arguments"
        return self._check(await self._made(*self._fixed, *args), self._method)


def text(value: str | bytes) -> str:
    """Header and URL bytes as text: ISO-8859-1, so that every octet survives, as the other
    adapters read them."""
    if isinstance(value, str):
        if value.isascii():
            return value
        value = value.encode("utf-8", "surrogateescape")
    return value.decode("latin-1")


def octets(value: str) -> str | bytes:
    """The inverse of `text`, for values that go back to Kong."""
    return value if value.isascii() else value.encode("latin-1", "replace")


def _string(value: object, what: str) -> str:
    if isinstance(value, (str, bytes)):
        return text(value)
    raise PdkError(f"{what}: expected a string, got {type(value).__name__}")


def _multimap(value: object, what: str) -> dict[str, list[str]]:
    if not isinstance(value, dict):
        raise PdkError(f"{what}: expected a map, got {type(value).__name__}")
    result: dict[str, list[str]] = {}
    for name, values in value.items():
        if not isinstance(values, list):
            raise PdkError(f"{what}: expected lists of values")
        result[_string(name, what)] = [_string(item, what) for item in values]
    return result


def _table(value: object, what: str) -> dict[str, object] | None:
    # An empty Lua table arrives as an empty array.
    if value is None or value == []:
        return None
    if isinstance(value, dict):
        return {_string(name, what): item for name, item in value.items()}
    raise PdkError(f"{what}: expected a table, got {type(value).__name__}")


def _bytes(value: object, what: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    raise PdkError(f"{what}: expected bytes, got {type(value).__name__}")


def _status(value: object, what: str) -> int:
    if isinstance(value, int):
        return value
    raise PdkError(f"{what}: no status")


def _tables(value: object, what: str) -> list[dict[str, object]]:
    del what
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _names(value: object, what: str) -> list[str]:
    del what
    if not isinstance(value, list):
        return []
    return [text(item) for item in value if isinstance(item, str)]


def _upstream_answered(value: object, what: str) -> bool:
    record = json.loads(_string(value, what))
    return isinstance(record, dict) and str(record.get("upstream_status", "")).isdigit()


def _nothing(value: object, what: str) -> None:
    del value, what


# -- the request (access) --------------------------------------------------------------------------

request_headers: _Call[[], dict[str, list[str]]] = _Call(
    "request.get_headers", _multimap, MAX_HEADERS
)
"""Up to MAX_HEADERS request header values by lower-case name (any phase)."""

request_body: _Call[[], bytes] = _Call("request.get_raw_body", _bytes, 0)
"""The whole request body of any size (access).

Argument 0 lifts the limit on bodies that nginx spooled to disk; without it such a body raises in
Kong and the call never returns.
"""

request_line: _Call[[], str] = _Call("nginx.get_var", _string, "request")
"""The request line as the client sent it, `METHOD target HTTP/x` (access)."""

route: _Call[[], dict[str, object] | None] = _Call("router.get_route", _table)
"""The matched route (access)."""

set_request_headers: _Call[[Headers], None] = _Call("service.request.set_headers", _nothing)
"""Replace these request headers (access)."""

clear_request_header: _Call[[str], None] = _Call("service.request.clear_header", _nothing)
"""Remove every value of a request header (access)."""

set_request_body: _Call[[bytes], None] = _Call("service.request.set_raw_body", _nothing)
"""Replace the request body; Kong corrects Content-Length (access)."""

enable_buffering: _Call[[], None] = _Call("service.request.enable_buffering", _nothing)
"""Buffer this response, so that later phases can read its body (access)."""

# -- who is calling --------------------------------------------------------------------------------

consumer: _Call[[], dict[str, object] | None] = _Call("client.get_consumer", _table)
"""The authenticated consumer (access, response, log)."""

credential: _Call[[], dict[str, object] | None] = _Call("client.get_credential", _table)
"""The authenticated credential (access, response, log)."""

consumer_groups: _Call[[], list[dict[str, object]]] = _Call(
    "nginx.get_ctx", _tables, "authenticated_consumer_groups"
)
"""Consumer groups (Kong Gateway Enterprise; elsewhere there are none)."""

acl_groups: _Call[[], list[str]] = _Call("nginx.get_ctx", _names, "authenticated_groups")
"""Groups that an authentication plugin put into `ngx.ctx.authenticated_groups`."""

_authenticate: _Call[[dict[str, object] | None, dict[str, str]], None] = _Call(
    "client.authenticate", _nothing
)

# -- between phases --------------------------------------------------------------------------------

shared_get: _Call[[str], dict[str, object] | None] = _Call("ctx.shared.get", _table)
"""A table in `kong.ctx.shared` (any phase, log included)."""

shared_set: _Call[[str, Mapping[str, object]], None] = _Call("ctx.shared.set", _nothing)
"""Put a table into `kong.ctx.shared` (any phase, log included)."""

log_err: _Call[[str], None] = _Call("log.err", _nothing)
"""One line in Kong's error log at level `error` (any phase).

The server's own stdout is logged at `info` only, which Kong's default level hides.
"""

# -- the response (response, log) ------------------------------------------------------------------

_upstream_status: _Call[[], int] = _Call("service.response.get_status", _status)

upstream_body: _Call[[], bytes] = _Call("service.response.get_raw_body", _bytes)
"""Body of a buffered upstream response (response, log)."""

response_status: _Call[[], int] = _Call("response.get_status", _status)
"""Status that went to the client (log)."""

response_source: _Call[[], str] = _Call("response.get_source", _string)
"""Who made the answer: `service`, `exit` (a plugin) or `error` (Kong) (log)."""

upstream_answered: _Call[[], bool] = _Call("log.serialize", _upstream_answered)
"""Whether an upstream was called and answered (log).

From Kong's log record: in the log phase it is the only source that does not need nginx variables,
which are gone by then.
"""

response_headers: _Call[[], dict[str, list[str]]] = _Call(
    "response.get_headers", _multimap, MAX_HEADERS
)
"""Headers of the answer to the client; in response, Kong has put the upstream's into it (log,
response)."""

set_response_headers: _Call[[Headers], None] = _Call("response.set_headers", _nothing)
"""Set headers of the answer to the client (access, response)."""

clear_response_header: _Call[[str], None] = _Call("response.clear_header", _nothing)
"""Remove a header from the answer to the client (response)."""

_exit: _Call[[int, bytes, Headers], None] = _Call("response.exit", _nothing)


async def authenticate(credential_id: str) -> None:
    """Make `credential_id` the authenticated credential, for plugins that run later (access).

    The consumer stays who it is: Kong forgets the one that is not named in the same call
    (kong/pdk/client.lua, authenticate).
    """
    await _authenticate(await consumer(), {"id": credential_id})


async def upstream_response() -> tuple[int, dict[str, list[str]], bytes]:
    """Status, headers and body of a buffered upstream response (response; body also in log).

    The headers are the answer's: `service.response.get_headers` gives a buffered response's through
    a metatable, and a plugin server gets the table without it, which is empty
    (kong/pdk/service/response.lua, attach_buffered_headers_mt).
    """
    return await _upstream_status(), await response_headers(), await upstream_body()


async def exit_with(status: int, body: bytes, headers: Headers) -> None:
    """Answer the client; nothing after this runs (access, response)."""
    await _exit(status, body, headers)
    raise AssertionError("unreachable: the event ends at a terminal call")
