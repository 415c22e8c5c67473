"""The only way to the JavaScript side: Fetch objects to plain values and back.

Header lists and options cross as one JSON text, because each property access across the border
makes a proxy, which costs tens of microseconds. The functions that every request calls are looked
up once per isolate (`_host`), and not at import time: the memory snapshot holds plain Python only.

Invariants: nothing here decides anything; a body is never read past the given bound; what is kept
between requests are the realm's own functions, never an object of a request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterable
from functools import cache
from typing import TypeVar

import js
from pyodide.ffi import JsException, JsProxy, to_js

from promptward.errors import PortError
from promptward.exchange import JSON, Body

T = TypeVar("T")
_compact = json.JSONEncoder(separators=(",", ":")).encode
Pairs = Iterable[tuple[str, str]]
_REASON_CHARACTERS = 200
# Statuses that must not have a body (Fetch standard, "null body status").
_NULL_BODY = frozenset({101, 204, 205, 304})


class _Host:
    """Global functions of JavaScript."""

    def __init__(self) -> None:
        self.now_ms = js.Date.now
        self.parse = js.JSON.parse
        self.stringify = js.JSON.stringify
        self.array = js.Array.from_
        self.response = js.Response.new
        self.controller = js.AbortController.new
        self.resolvers = js.Promise.withResolvers
        self.fetch = js.fetch
        self.log = js.console.log


@cache
def _host() -> _Host:
    return _Host()


class WallClock:
    """Clock port; stands still during CPU work in production, which nothing here minds."""

    def now_s(self) -> float:
        return now_ms() / 1000


def now_ms() -> int:
    """Unix time in milliseconds."""
    return _host().now_ms()


def header_pairs(headers: js.Headers) -> list[tuple[str, str]]:
    """Header fields in iteration order: names lower-case, repeated fields joined with `, `."""
    return [(name, value) for name, value in json.loads(as_json(headers))]


def as_json(items: JsProxy) -> str:
    """The items of an iterable as JSON text."""
    host = _host()
    return host.stringify(host.array(items))


async def read_body(message: js.Request | js.Response, pairs: Pairs, max_bytes: int) -> Body:
    """The body; of one that is larger than `max_bytes`, no more than what shows that it is.

    With a declared length and no encoding the body is read in one step, which costs far less
    than a loop over chunks; HTTP framing keeps the sender to the declared length.
    """
    fields = dict(pairs)
    declared = fields.get("content-length", "")
    plain = fields.get("content-encoding", "identity") == "identity"
    if declared.isascii() and declared.isdigit() and plain and int(declared) <= max_bytes:
        return Body((await message.arrayBuffer()).to_bytes())
    stream = body_stream(message)
    return Body() if stream is None else await _read_chunks(stream, max_bytes)


def body_stream(message: js.Request | js.Response) -> js.ReadableStream | None:
    """The body, None when there is none (JavaScript's null is not Python's None)."""
    stream = message.body
    return stream if isinstance(stream, JsProxy) else None


async def _read_chunks(stream: js.ReadableStream, max_bytes: int) -> Body:
    reader = stream.getReader()
    chunks: list[bytes] = []
    size = 0
    while True:
        step = await reader.read()
        if step.done:
            return Body(b"".join(chunks))
        chunk = step.value.to_bytes()
        size += len(chunk)
        chunks.append(chunk)
        if size > max_bytes:
            await reader.cancel()
            return Body(b"".join(chunks), complete=False)


def response(status: int, headers: Pairs, body: bytes | js.ReadableStream | None) -> js.Response:
    """A Response for the client."""
    init = _host().parse(_compact({"status": status, "headers": list(headers)}))
    content = to_js(body) if isinstance(body, bytes) else body
    return _host().response(None if status in _NULL_BODY else content, init)


def request_init(
    method: str, headers: Pairs, body: bytes | None
) -> tuple[js.Options, js.AbortController]:
    """Options for `fetch` (redirects are never followed) and the controller that aborts it."""
    host = _host()
    init = host.parse(_compact({"method": method, "headers": list(headers), "redirect": "manual"}))
    if body:
        init.body = to_js(body)
    controller = host.controller()
    init.signal = controller.signal
    return init, controller


async def within(port: str, timeout_s: float, work: Awaitable[T]) -> T:
    """Await `work` for at most `timeout_s`.

    Raises:
        PortError: it took longer, or failed on the JavaScript side.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except TimeoutError as error:
        raise PortError(port, f"no answer within {timeout_s} s") from error
    except JsException as error:
        raise PortError(port, _reason(error)) from error


def _reason(error: JsException) -> str:
    """The runtime's own first line: it speaks of bindings and networks, never of a body."""
    return f"{error.name}: {error.message.partition(chr(10))[0][:_REASON_CHARACTERS]}"


def fetch(url: str, init: js.Options) -> Awaitable[js.Response]:
    """The global fetch."""
    return _host().fetch(url, init)


def resolvers() -> js.Resolvers:
    """A promise, and what resolves it."""
    return _host().resolvers()


async def fetch_bytes(url: str, timeout_s: float, max_bytes: int) -> bytes:
    """GET a small document; anything but 200 is a failure, redirects too.

    Raises:
        PortError: see `within`.
    """

    async def get() -> bytes:
        init, _ = request_init("GET", [("accept", "application/json")], None)
        answer = await fetch(url, init)
        if answer.status != 200:
            raise PortError("keys", f"status {answer.status}")
        stream = body_stream(answer)
        if stream is None:
            return b""
        body = await _read_chunks(stream, max_bytes)
        if not body.complete:
            raise PortError("keys", "the document is too large")
        return body.data

    return await within("keys", timeout_s, get())


async def post_twice(url: str, headers: Pairs, body: bytes, max_bytes: int) -> tuple[int, bytes]:
    """Status and body of the answer to a small call that may be made twice without harm.

    The second attempt is for a kept connection that the server has closed meanwhile. The caller
    bounds the time; when it is over the call is aborted.

    Raises:
        JsException: both attempts failed.
        ValueError: the answer is larger than `max_bytes`.
    """
    init, controller = request_init("POST", headers, body)
    try:
        try:
            answer = await fetch(url, init)
        except JsException:
            answer = await fetch(url, init)
        stream = body_stream(answer)
        found = Body() if stream is None else await _read_chunks(stream, max_bytes)
    except asyncio.CancelledError:
        controller.abort()
        raise
    if not found.complete:
        raise ValueError("the answer is too large")
    return answer.status, found.data


def log(event: dict[str, JSON]) -> None:
    """One JSON line to the Worker's log (Workers Logs indexes its fields)."""
    _host().log(_compact(event))
