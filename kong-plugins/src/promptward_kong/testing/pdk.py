"""What PDK calls do to a request inside Kong, and in which phases they may be made.

A call in the wrong phase or with wrong arguments raises `LuaError`, as Kong does: the client gets
a 500 and the plugin is never answered. Only what the plugin uses, and what the captures use.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from promptward_kong.testing.rpc import LuaError

# nginx keeps bodies up to client_body_buffer_size (Kong's default) in memory
BODY_BUFFER_BYTES = 8192
_MAX_HEADERS = 1000
HeaderList = list[tuple[str, str | bytes]]


class ExitError(Exception):
    """kong.response.exit: the request ends with this answer."""

    def __init__(self, status: int, body: bytes, headers: HeaderList) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers


@dataclass(slots=True)
class RequestState:
    """ngx.ctx and friends of one request."""

    method: str
    target: str
    headers: HeaderList
    body: bytes
    client_ip: str = "127.0.0.1"
    http_version: str = "HTTP/1.1"
    route: dict[str, Any] = field(default_factory=dict)
    consumer: dict[str, Any] | None = None
    credential: dict[str, Any] | None = None
    ctx: dict[str, Any] = field(default_factory=dict)
    shared: dict[Any, Any] = field(default_factory=dict)
    phase: str = "access"
    buffered: bool = False
    upstream: tuple[int, HeaderList, bytes] | None = None
    response_headers: HeaderList = field(default_factory=list)
    response_status: int = 0
    source: str = ""
    log: list[tuple[str, str]] = field(default_factory=list)


def header_table(headers: HeaderList, limit: int) -> dict[str, Any]:
    """ngx.req.get_headers(limit): lower-case names, repeated fields as lists, cut at the limit."""
    table: dict[str, Any] = {}
    for name, value in headers[:limit]:
        key = name.lower()
        if key not in table:
            table[key] = value
        elif isinstance(table[key], list):
            table[key].append(value)
        else:
            table[key] = [table[key], value]
    return table


def _drop(headers: HeaderList, name: str) -> None:
    headers[:] = [(n, v) for n, v in headers if n.lower() != name.lower()]


def _put(headers: HeaderList, table: dict[str, Any]) -> None:
    for name, value in table.items():
        _drop(headers, name)
        headers += [(name, item) for item in (value if isinstance(value, list) else [value])]


def _check_headers(table: Any) -> None:
    if not isinstance(table, dict):
        raise LuaError("headers must be a table")
    for name, value in table.items():
        values = value if isinstance(value, list) else [value]
        if not isinstance(name, str) or not all(isinstance(v, str | bytes | int) for v in values):
            raise LuaError(f"invalid header value for {name!r}")


class Pdk:
    """Runs PDK methods for one request.

    Args:
        saved: the request whose log event raised in the same coroutine before. Kong forgets to drop
            it (runloop/plugin_servers/plugin.lua, save_for_later), and nginx uses coroutines again:
            some methods then serve that request instead.
    """

    def __init__(self, state: RequestState, saved: RequestState | None = None) -> None:
        self.state = state
        self._saved = saved

    @staticmethod
    def put_response_headers(state: RequestState, table: dict[str, Any]) -> None:
        """kong.response.set_headers, for Kong itself and Lua plugins of the test."""
        _response_set(state, table)

    def call(self, method: str, args: list[Any]) -> Any:
        """Run `method`.

        Raises:
            LuaError: wrong phase, wrong arguments or no such method on a path Kong raises for.
            ExitError: the method ended the request.
        """
        entry = _METHODS.get(method)
        if entry is None:
            self.state.log.append(("err", f"could not find pdk method: {method}"))
            return None
        phases, function = entry
        if self.state.phase not in phases:
            raise LuaError(f"function cannot be called in {self.state.phase} phase")
        state = self._saved if self._saved is not None and method in _OF_SAVED else self.state
        try:
            return function(state, *args)
        except TypeError as error:
            raise LuaError(str(error)) from None


def _get_headers(state: RequestState, limit: int = 100) -> dict[str, Any]:
    if not 1 <= limit <= _MAX_HEADERS:
        raise LuaError("max_headers must be a number between 1 and 1000")
    return header_table(state.headers, limit)


def _get_header(state: RequestState, name: str) -> Any:
    value = header_table(state.headers, 100).get(name.lower())
    return value[0] if isinstance(value, list) else value


def _get_raw_body(state: RequestState, max_file_size: int | None = None) -> bytes | None:
    if len(state.body) <= BODY_BUFFER_BYTES or max_file_size == 0:
        return state.body
    if max_file_size is None or len(state.body) > max_file_size:
        return None
    return state.body


def _get_var(state: RequestState, name: str) -> Any:
    return {
        "request": f"{state.method} {state.target} {state.http_version}",
        "remote_addr": state.client_ip,
        "request_uri": state.target,
        "request_method": state.method,
    }.get(name)


def _exit(_state: RequestState, status: Any, body: Any = None, headers: Any = None) -> None:
    if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 599:
        raise LuaError("code must be a number between 100 and 599")
    if body is not None and not isinstance(body, str | bytes | dict | list):
        raise LuaError("body must be a nil, string or table")
    _check_headers(headers or {})
    out: HeaderList = []
    if isinstance(body, dict | list):
        text = json.dumps(body).encode()
        out.append(("content-type", "application/json; charset=utf-8"))
    else:
        text = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body or b""
    _put(out, headers or {})
    out.append(("content-length", str(len(text))))
    raise ExitError(status, text, out)


def _set_headers(state: RequestState, table: Any) -> None:
    _check_headers(table)
    _put(state.headers, table)


def _set_header(state: RequestState, name: Any, value: Any) -> None:
    _set_headers(state, {name: value})


def _set_raw_body(state: RequestState, body: Any) -> None:
    if not isinstance(body, str | bytes):
        raise LuaError("body must be a string")
    state.body = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body
    _put(state.headers, {"content-length": str(len(state.body))})


def _enable_buffering(state: RequestState) -> None:
    if not state.http_version.startswith("HTTP/1."):
        raise LuaError("buffered proxying cannot currently be enabled with http/2")
    state.buffered = True


def _shared_set(state: RequestState, key: Any, value: Any = None) -> None:
    state.shared[key] = value


def _service_body(state: RequestState) -> bytes | None:
    if not state.buffered or state.upstream is None:
        raise LuaError("service body is only available with buffered proxying")
    return state.upstream[2]


def _upstream(state: RequestState) -> tuple[int, HeaderList, bytes]:
    if state.upstream is None:
        raise LuaError("there was no upstream response")
    return state.upstream


def _service_headers(state: RequestState, _limit: int = 100) -> dict[str, Any]:
    """Nothing: a buffered response's headers are behind a metatable, which is not packed."""
    _upstream(state)
    return {}


def _response_set(state: RequestState, table: Any) -> None:
    _check_headers(table)
    _put(state.response_headers, table)


def _authenticate(state: RequestState, consumer: Any = None, credential: Any = None) -> None:
    if consumer is None and credential is None:
        raise LuaError("either credential or consumer must be provided")
    state.consumer, state.credential = consumer, credential  # what is not given is cleared


def _serialize(state: RequestState) -> str:
    # cjson writes bytes as they are; escaping keeps this a str
    record: dict[str, Any] = {
        "request": {"method": state.method, "uri": state.target},
        "response": {"status": state.response_status},
        "client_ip": state.client_ip,
        "route": state.route,
    }
    if state.upstream is not None:
        record["upstream_status"] = str(state.upstream[0])
    return json.dumps(record)


def _log(level: str) -> Callable[..., None]:
    def write(state: RequestState, *parts: Any) -> None:
        state.log.append((level, "".join(str(part) for part in parts)))

    return write


_OF_SAVED = frozenset(
    {
        "kong.request.get_headers",
        "kong.request.get_header",
        "kong.ctx.shared.get",
        "kong.ctx.shared.set",
        "kong.nginx.get_ctx",
        "kong.response.get_status",
        "kong.response.get_headers",
        "kong.response.get_source",
    }
)
_ACCESS = frozenset({"access"})
_RESPONSE = frozenset({"response"})
_LOG = frozenset({"log"})
_ALL = _ACCESS | _RESPONSE | _LOG
# (phases, function) per method; phases as observed and as documented for Kong 3.9
_METHODS: dict[str, tuple[frozenset[str], Callable[..., Any]]] = {
    "kong.request.get_headers": (_ALL, _get_headers),
    "kong.request.get_header": (_ALL, _get_header),
    "kong.request.get_query": (_ACCESS | _RESPONSE, lambda _: {}),
    "kong.request.get_method": (_ACCESS | _RESPONSE, lambda s: s.method),
    "kong.request.get_path": (_ACCESS | _RESPONSE, lambda s: s.target.partition("?")[0]),
    "kong.request.get_path_with_query": (_ACCESS | _RESPONSE, lambda s: s.target),
    "kong.request.get_raw_body": (_ACCESS, _get_raw_body),
    "kong.nginx.get_var": (_ACCESS | _RESPONSE, _get_var),
    "kong.nginx.get_ctx": (_ALL, lambda s, key: s.ctx.get(key)),
    "kong.client.get_ip": (_ACCESS | _RESPONSE, lambda s: s.client_ip),
    "kong.client.get_forwarded_ip": (_ACCESS | _RESPONSE, lambda s: s.client_ip),
    "kong.client.get_consumer": (_ALL, lambda s: s.consumer),
    "kong.client.get_credential": (_ALL, lambda s: s.credential),
    "kong.client.load_consumer": (_ACCESS, lambda _s, _name, _by_username=False: None),
    "kong.client.authenticate": (_ACCESS, _authenticate),
    "kong.router.get_route": (_ALL, lambda s: s.route),
    "kong.ctx.shared.get": (_ALL, lambda s, key: s.shared.get(key)),
    "kong.ctx.shared.set": (_ALL, _shared_set),
    "kong.service.request.set_headers": (_ACCESS, _set_headers),
    "kong.service.request.set_header": (_ACCESS, _set_header),
    "kong.service.request.clear_header": (_ACCESS, lambda s, name: _drop(s.headers, name)),
    "kong.service.request.set_raw_body": (_ACCESS, _set_raw_body),
    "kong.service.request.enable_buffering": (_ACCESS, _enable_buffering),
    "kong.service.response.get_status": (_RESPONSE | _LOG, lambda s: _upstream(s)[0]),
    "kong.service.response.get_headers": (_RESPONSE, _service_headers),
    "kong.service.response.get_raw_body": (_RESPONSE | _LOG, _service_body),
    "kong.response.exit": (_ACCESS | _RESPONSE, _exit),
    "kong.response.set_headers": (_ACCESS | _RESPONSE, _response_set),
    "kong.response.set_header": (
        _ACCESS | _RESPONSE,
        lambda s, name, value: _response_set(s, {name: value}),
    ),
    "kong.response.clear_header": (
        _ACCESS | _RESPONSE,
        lambda s, name: _drop(s.response_headers, name),
    ),
    "kong.response.get_status": (_RESPONSE | _LOG, lambda s: s.response_status),
    "kong.response.get_source": (_LOG, lambda s: s.source),
    "kong.response.get_headers": (
        _RESPONSE | _LOG,
        lambda s, limit=100: header_table(s.response_headers, limit),
    ),
    "kong.log.serialize": (_LOG, _serialize),
    "kong.log": (_ALL, _log("notice")),
    "kong.log.err": (_ALL, _log("err")),
    "kong.log.warn": (_ALL, _log("warn")),
    "kong.log.notice": (_ALL, _log("notice")),
    "kong.log.info": (_ALL, _log("info")),
}
