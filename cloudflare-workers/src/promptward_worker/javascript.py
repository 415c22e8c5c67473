"""The only way to the JavaScript side: Fetch objects to plain values and back.

Header lists and options cross as one JSON text, because each property access across the border
costs microseconds. `js` is reached by attribute at call time: no JavaScript object is held by a
module, so that the memory snapshot stays plain Python.

Invariants: nothing here decides anything; a body is never read past the given bound.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterable
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


class WallClock:
    """Clock port; stands still during CPU work in production, which nothing here minds."""

    def now_s(self) -> float:
        return js.Date.now() / 1000


def header_pairs(headers: js.Headers) -> list[tuple[str, str]]:
    """Header fields in iteration order: names lower-case, repeated fields joined with `, `."""
    listed = json.loads(js.JSON.stringify(js.Array.from_(headers)))
    return [(name, value) for name, value in listed]


async def read_body(message: js.Request | js.Response, pairs: Pairs, max_bytes: int) -> Body:
    """The body; of one that is larger than `max_bytes`, no more than what shows that it is.

    With a declared length and no encoding the body is read in one step, which costs far less
    than a loop over chunks; HTTP framing keeps the sender to the declared length.
    """
    stream = body_stream(message)
    if stream is None:
        return Body()
    fields = dict(pairs)
    declared = fields.get("content-length", "")
    plain = fields.get("content-encoding", "identity") == "identity"
    if declared.isascii() and declared.isdigit() and plain and int(declared) <= max_bytes:
        return Body((await message.arrayBuffer()).to_bytes())
    return await _read_chunks(stream, max_bytes)


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
    init = js.JSON.parse(json.dumps({"status": status, "headers": list(headers)}))
    content = to_js(body) if isinstance(body, bytes) else body
    return js.Response.new(None if status in _NULL_BODY else content, init)


def request_init(
    method: str, headers: Pairs, body: bytes | None
) -> tuple[js.Options, js.AbortController]:
    """Options for `fetch` (redirects are never followed) and the controller that aborts it."""
    init = js.JSON.parse(
        json.dumps({"method": method, "headers": list(headers), "redirect": "manual"})
    )
    if body:
        init.body = to_js(body)
    controller = js.AbortController.new()
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


async def fetch_bytes(url: str, timeout_s: float, max_bytes: int) -> bytes:
    """GET a small document; anything but 200 is a failure, redirects too.

    Raises:
        PortError: see `within`.
    """

    async def get() -> bytes:
        init, _ = request_init("GET", [("accept", "application/json")], None)
        answer = await js.fetch(url, init)
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


def log(event: dict[str, JSON]) -> None:
    """One JSON line to the Worker's log (Workers Logs indexes its fields)."""
    js.console.log(_compact(event))
