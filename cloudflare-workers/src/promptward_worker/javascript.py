"""The only way to the JavaScript side: Fetch objects to plain values and back.

Header lists and options cross as one JSON text, and what takes several steps over there is one
function of border.mjs, because each property access across the border makes a proxy, which costs
tens of microseconds. The functions that every request calls are looked up once per isolate, and
not at import time: the memory snapshot holds plain Python only.

Invariants: nothing here decides anything; a body is never read past the given bound; what is kept
between requests are functions, never an object of a request.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Iterable
from functools import cache
from typing import TypeVar

import js
from pyodide.ffi import JsBuffer, JsException, JsProxy, to_js
from workers import import_from_javascript

from promptward.errors import PortError
from promptward.exchange import JSON, Body
from promptward.jsoncompact import compact_encoder
from promptward.values import value_object
from promptward_worker.turns import Waiting

T = TypeVar("T")
_compact = compact_encoder()
Pairs = Iterable[tuple[str, str]]
Fields = list[tuple[str, str]]
SqlValue = str | int | float | None
_MODULE = "promptward_worker/border.mjs"
_REASON_CHARACTERS = 200
# Statuses that must not have a body (Fetch standard, "null body status").
_NULL_BODY = frozenset({101, 204, 205, 304})


class _Host:
    """Global functions of JavaScript."""

    def __init__(self) -> None:
        self.now_ms = js.Date.now
        self.log = js.console.log


@cache
def _host() -> _Host:
    return _Host()


class _Border:
    """Functions of border.mjs."""

    def __init__(self) -> None:
        module: js.Border = import_from_javascript(_MODULE)
        self.wait = module.wait
        self.respond = module.respond
        self.read_request = module.readRequest
        self.read_body = module.readBody
        self.send = module.send
        self.fetch_document = module.fetchDocument
        self.call_object = module.callObject
        self.sql_rows = module.sqlRows
        self.sql_run = module.sqlRun


@cache
def _border() -> _Border:
    return _Border()


def open_border() -> None:
    """Import border.mjs, which only the constructor of what Cloudflare makes can do."""
    _border()


class WallClock:
    """Clock port; stands still during CPU work in production, which nothing here minds."""

    def now_s(self) -> float:
        return now_ms() / 1000


def now_ms() -> int:
    """Unix time in milliseconds."""
    return _host().now_ms()


async def read_request(request: js.Request, max_bytes: int) -> tuple[str, str, Fields, Body]:
    """Method, URL, header fields and body, as by `read_body`.

    Names of header fields are lower-case, repeated fields are joined with `, `.
    """
    reading: Waiting[tuple[str, JsBuffer]] = Waiting(_border().read_request, request, max_bytes)
    head, bytes_ = await reading
    method, url, headers = json.loads(head)
    return method, url, [(name, value) for name, value in headers], _body(bytes_, max_bytes)


async def read_body(message: js.Request | js.Response, max_bytes: int) -> Body:
    """The body; of one that is larger than `max_bytes`, no more than what shows that it is."""
    bytes_: JsBuffer = await Waiting(_border().read_body, message, max_bytes)
    return _body(bytes_, max_bytes)


def _body(bytes_: JsBuffer, max_bytes: int) -> Body:
    data = bytes_.to_bytes()
    return Body(data, complete=len(data) <= max_bytes)


def body_stream(message: js.Request | js.Response) -> js.ReadableStream | None:
    """The body, None when there is none (JavaScript's null is not Python's None)."""
    stream = message.body
    return stream if isinstance(stream, JsProxy) else None


def response(status: int, headers: Pairs, body: bytes | js.ReadableStream | None) -> js.Response:
    """A Response for the client."""
    init = _compact({"status": status, "headers": list(headers)})
    content = to_js(body) if isinstance(body, bytes) else body
    return _border().respond(None if status in _NULL_BODY else content, init)


def settled(promise: Awaitable[T], timeout_s: float = 0) -> Waiting[T]:
    """Awaits a promise for at most `timeout_s` (0: no limit)."""
    return Waiting(_border().wait, promise, timeout_s * 1000)


async def within(port: str, timeout_s: float, work: Waiting[T]) -> T:
    """Await `work`, which has `timeout_s`.

    Raises:
        PortError: it took longer, or failed on the JavaScript side.
    """
    try:
        return await work
    except TimeoutError as error:
        raise PortError(port, f"no answer within {timeout_s} s") from error
    except JsException as error:
        raise PortError(port, _reason(error)) from error


def _reason(error: JsException) -> str:
    """The runtime's own first line: it speaks of bindings and networks, never of a body."""
    return f"{error.name}: {error.message.partition(chr(10))[0][:_REASON_CHARACTERS]}"


def _request_init(method: str, headers: Pairs) -> str:
    """Options for `fetch` as JSON; redirects are never followed."""
    return _compact({"method": method, "headers": list(headers), "redirect": "manual"})


@value_object(frozen=True, slots=True)
class Answered:
    """What a request came to.

    Attributes:
        headers: as those of a request.
        body: None when it was not taken along: it is still in `response`.
    """

    response: js.Response
    status: int
    headers: Fields
    body: Body | None


async def send(
    binding: js.Fetcher | None,
    url: str,
    method: str,
    headers: Pairs,
    body: bytes | None,
    timeout_s: float,
    max_bytes: int = 0,
) -> Answered:
    """Ask a service binding, or the global fetch, which has `timeout_s` for the head.

    Args:
        max_bytes: take the body along of a JSON document that is declared no longer.
    """
    content = to_js(body) if body else None
    init = _request_init(method, headers)
    arguments = (binding, url, init, content, max_bytes, timeout_s * 1000)
    asking: Waiting[tuple[js.Response, str, JsBuffer | None]] = Waiting(_border().send, *arguments)
    response, head, bytes_ = await asking
    status, headers = json.loads(head)
    whole = None if bytes_ is None else Body(bytes_.to_bytes())
    return Answered(response, status, [(name, value) for name, value in headers], whole)


async def fetch_bytes(url: str, timeout_s: float, max_bytes: int) -> bytes:
    """GET a small document; anything but 200 is a failure, redirects too.

    Raises:
        PortError: see `within`.
    """
    init = _request_init("GET", [("accept", "application/json")])
    status, data = await _document("keys", timeout_s, url, init, None, 1, max_bytes)
    if status != 200:
        raise PortError("keys", f"status {status}")
    if len(data) > max_bytes:
        raise PortError("keys", "the document is too large")
    return data


async def post_twice(
    port: str, timeout_s: float, url: str, headers: Pairs, body: bytes, max_bytes: int
) -> tuple[int, bytes]:
    """Status and body of the answer to a small call that may be made twice without harm.

    The second attempt is for a kept connection that the server has closed meanwhile; the time is
    for both.

    Raises:
        PortError: both attempts failed, or the answer is larger than `max_bytes`.
    """
    init = _request_init("POST", headers)
    status, data = await _document(port, timeout_s, url, init, body, 2, max_bytes)
    if len(data) > max_bytes:
        raise PortError(port, "the answer is too large")
    return status, data


async def _document(
    port: str,
    timeout_s: float,
    url: str,
    init: str,
    body: bytes | None,
    attempts: int,
    max_bytes: int,
) -> tuple[int, bytes]:
    content = to_js(body) if body else None
    arguments = (url, init, content, attempts, max_bytes, timeout_s * 1000)
    call: Waiting[tuple[int, JsBuffer]] = Waiting(_border().fetch_document, *arguments)
    status, bytes_ = await within(port, timeout_s, call)
    return status, bytes_.to_bytes()


def call_object(
    namespace: js.LedgerNamespace, name: str, method: str, text: str, timeout_s: float
) -> Waiting[str]:
    """Call a method of a Durable Object; awaits its answer for at most `timeout_s`."""
    return Waiting(_border().call_object, namespace, name, method, text, timeout_s * 1000)


def sql_rows(sql: js.SqlStorage, statement: str, values: Iterable[SqlValue]) -> str:
    """The rows of a statement as JSON text."""
    return _border().sql_rows(sql, statement, *values)


def sql_run(sql: js.SqlStorage, statement: str, values: Iterable[SqlValue]) -> None:
    """Run a statement for its effect."""
    _border().sql_run(sql, statement, *values)


def log(event: dict[str, JSON]) -> None:
    """One JSON line to the Worker's log (Workers Logs indexes its fields)."""
    _host().log(_compact(event))
