"""The Kong PDK as the phases use it: kong-pdk's call objects, awaited, with checked results.

Kong drops the error of a failed PDK call, so that `None` never means "empty" (see `get_raw_body`);
values Kong hands over are checked here and are typed from here on.

Invariants: every call here is legal in the phases named in its docstring. A call in the wrong
phase raises inside Kong, which answers the client 500 and never answers us.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from kong_pdk.pdk import FakeClasses, non_return_methods  # type: ignore[import-untyped]

from promptward_kong.effects import PdkCall

TERMINAL_METHODS: frozenset[str] = frozenset(non_return_methods)

# kong.request.get_headers refuses more; the default of 100 would hide headers from the checks.
MAX_HEADERS = 1000


class PdkError(Exception):
    """Kong answered a PDK call with something the call cannot return."""


def _call(method: str, *args: object) -> PdkCall:
    return PdkCall(method, args)


_kong = FakeClasses("kong", _call)
# Bound once: kong-pdk builds one object for every dot of every call.
_get_headers = _kong.request.get_headers
_get_raw_body = _kong.request.get_raw_body
_get_var = _kong.nginx.get_var
_get_route = _kong.router.get_route
_get_consumer = _kong.client.get_consumer
_get_credential = _kong.client.get_credential
_authenticate = _kong.client.authenticate
_shared_get = _kong.ctx.shared.get
_shared_set = _kong.ctx.shared.set
_get_ctx = _kong.nginx.get_ctx
_set_request_headers = _kong.service.request.set_headers
_clear_request_header = _kong.service.request.clear_header
_set_request_body = _kong.service.request.set_raw_body
_enable_buffering = _kong.service.request.enable_buffering
_service_status = _kong.service.response.get_status
_service_headers = _kong.service.response.get_headers
_service_body = _kong.service.response.get_raw_body
_set_response_header = _kong.response.set_header
_set_response_headers = _kong.response.set_headers
_clear_response_header = _kong.response.clear_header
_response_status = _kong.response.get_status
_response_source = _kong.response.get_source
_response_headers = _kong.response.get_headers
_exit = _kong.response.exit
_log_err = _kong.log.err
_log_serialize = _kong.log.serialize

Multimap = Mapping[str, list[str]]
HeaderValue = str | bytes | list[str] | list[bytes] | list[str | bytes]


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


async def request_headers() -> dict[str, list[str]]:
    """Up to MAX_HEADERS request header values by lower-case name (any phase)."""
    return _multimap(await _get_headers(MAX_HEADERS), "request.get_headers")


async def request_body() -> bytes:
    """The whole request body of any size (access).

    Argument 0 lifts the limit on bodies that nginx spooled to disk; without it such a body raises
    in Kong and the call never returns.
    """
    return _bytes(await _get_raw_body(0), "request.get_raw_body")


async def request_line() -> str:
    """The request line as the client sent it, `METHOD target HTTP/x` (access)."""
    return _string(await _get_var("request"), "nginx.get_var")


async def route() -> dict[str, object] | None:
    """The matched route (access)."""
    return _table(await _get_route(), "router.get_route")


async def consumer() -> dict[str, object] | None:
    """The authenticated consumer (access, response, log)."""
    return _table(await _get_consumer(), "client.get_consumer")


async def credential() -> dict[str, object] | None:
    """The authenticated credential (access, response, log)."""
    return _table(await _get_credential(), "client.get_credential")


async def consumer_groups() -> list[dict[str, object]]:
    """Consumer groups (Kong Gateway Enterprise; elsewhere there are none)."""
    value = await _get_ctx("authenticated_consumer_groups")
    if not isinstance(value, list):
        return []
    return [item for item in value if isinstance(item, dict)]


async def acl_groups() -> list[str]:
    """Groups that an authentication plugin put into `ngx.ctx.authenticated_groups`."""
    value = await _get_ctx("authenticated_groups")
    if not isinstance(value, list):
        return []
    return [text(item) for item in value if isinstance(item, str)]


async def authenticate(credential_id: str) -> None:
    """Make `credential_id` the authenticated credential, for plugins that run later (access)."""
    await _authenticate(None, {"id": credential_id})


async def shared_get(key: str) -> dict[str, object] | None:
    """A table in `kong.ctx.shared` (any phase, log included)."""
    return _table(await _shared_get(key), "ctx.shared.get")


async def shared_set(key: str, value: Mapping[str, object]) -> None:
    """Put a table into `kong.ctx.shared` (any phase, log included)."""
    await _shared_set(key, dict(value))


async def set_request_headers(headers: Mapping[str, HeaderValue]) -> None:
    """Replace these request headers (access)."""
    await _set_request_headers(dict(headers))


async def clear_request_header(name: str) -> None:
    """Remove every value of a request header (access)."""
    await _clear_request_header(name)


async def set_request_body(body: bytes) -> None:
    """Replace the request body; Kong corrects Content-Length (access)."""
    await _set_request_body(body)


async def enable_buffering() -> None:
    """Buffer this response, so that later phases can read its body (access)."""
    await _enable_buffering()


async def upstream_response() -> tuple[int, dict[str, list[str]], bytes]:
    """Status, headers and body of a buffered upstream response (response; body also in log)."""
    status = await _service_status()
    if not isinstance(status, int):
        raise PdkError("service.response.get_status: no status")
    headers = _multimap(await _service_headers(MAX_HEADERS), "service.response.get_headers")
    return status, headers, await upstream_body()


async def upstream_body() -> bytes:
    """Body of a buffered upstream response (response, log)."""
    return _bytes(await _service_body(), "service.response.get_raw_body")


async def response_status() -> int:
    """Status that went to the client (log)."""
    status = await _response_status()
    if not isinstance(status, int):
        raise PdkError("response.get_status: no status")
    return status


async def response_source() -> str:
    """Who made the answer: `service`, `exit` (a plugin) or `error` (Kong) (log)."""
    return _string(await _response_source(), "response.get_source")


async def upstream_answered() -> bool:
    """Whether an upstream was called and answered (log).

    From Kong's log record: in the log phase it is the only source that does not need nginx
    variables, which are gone by then.
    """
    record = json.loads(_string(await _log_serialize(), "log.serialize"))
    return isinstance(record, dict) and str(record.get("upstream_status", "")).isdigit()


async def response_headers() -> dict[str, list[str]]:
    """Headers that went to the client (log)."""
    return _multimap(await _response_headers(), "response.get_headers")


async def set_response_headers(headers: Mapping[str, HeaderValue]) -> None:
    """Set headers of the answer to the client (access, response)."""
    await _set_response_headers(dict(headers))


async def clear_response_header(name: str) -> None:
    """Remove a header from the answer to the client (response)."""
    await _clear_response_header(name)


async def log_err(message: str) -> None:
    """One line in Kong's error log at level `error` (any phase).

    The server's own stdout is logged at `info` only, which Kong's default level hides.
    """
    await _log_err(message)


async def exit_with(status: int, body: bytes, headers: Mapping[str, HeaderValue]) -> None:
    """Answer the client; nothing after this runs (access, response)."""
    await _exit(status, body, dict(headers))
    raise AssertionError("unreachable: the event ends at a terminal call")
