"""An origin that does exactly what a test tells it to, chunk by chunk, and remembers everything.

A test registers a script under a name and sends the header `x-script: NAME`. Scripts run in the
server's threads; they wait on what the test hands them, never on time.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from promptward.exchange import JSON

SCRIPT_HEADER = "x-script"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it reached the origin; header names lower-case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Wire:
    """The connection, as a script writes to it."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._handler = handler
        self._chunked = False

    def start(self, status: int, headers: dict[str, str]) -> None:
        """Send the head; without content-length the body is chunked."""
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._chunked = not any(name.lower() == "content-length" for name in headers)
        if self._chunked:
            self._handler.send_header("transfer-encoding", "chunked")
        self._handler.end_headers()

    def send(self, data: bytes) -> None:
        """Send a part of the body now.

        Raises:
            OSError: the other side is gone.
        """
        if self._chunked:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self._handler.wfile.write(data)
        self._handler.wfile.flush()

    def end(self) -> None:
        """End the body."""
        if self._chunked:
            self._handler.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Break the connection without ending the body."""
        self._handler.close_connection = True

    def whole(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """A complete answer."""
        given = headers or {}
        self.start(status, {"content-type": _JSON, "content-length": str(len(body)), **given})
        self.send(body)


Script = Callable[[Received, Wire], None]


def completion(text: str, prompt_tokens: int = 5, completion_tokens: int = 7) -> bytes:
    """A chat completion."""
    message: JSON = {"role": "assistant", "content": text}
    document: JSON = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }
    return json.dumps(document).encode()


def event(text: str | None = None, finish: str | None = None, usage: int | None = None) -> bytes:
    """One event of a streamed chat completion; `usage` is the total."""
    delta: JSON = {} if text is None else {"content": text}
    document: dict[str, JSON] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    if usage is not None:
        document["choices"] = []
        document["usage"] = {
            "prompt_tokens": usage - 1,
            "completion_tokens": 1,
            "total_tokens": usage,
        }
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def echo(received: Received, wire: Wire) -> None:
    """The default: a completion that repeats the last message."""
    try:
        text = json.loads(received.body)["messages"][-1]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        text = "no message"
    wire.whole(200, completion(f"You said: {text}"))


class Origin:
    """The running server.

    Attributes:
        received: every request, oldest first.
        scripts: by the value of `x-script`.
        documents: path -> JSON document, for requests without a script.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.scripts: dict[str, Script] = {}
        self.documents: dict[str, JSON] = {}
        self._lock = threading.Lock()
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or head and body wait for each other's ACK

            def handle_one_request(self) -> None:
                with contextlib.suppress(ConnectionError):
                    super().handle_one_request()

            def answer(self) -> None:
                origin.answer(self)

            do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Tests read `received` instead."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Record one request and run its script."""
        headers = {name.lower(): value for name, value in handler.headers.items()}
        body = b"".join(_body(handler, headers))
        received = Received(handler.command, handler.path, headers, body)
        with self._lock:
            self.received.append(received)
        if handler.path in self.documents:
            Wire(handler).whole(200, json.dumps(self.documents[handler.path]).encode())
            return
        self.scripts.get(headers.get(SCRIPT_HEADER, ""), echo)(received, Wire(handler))

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _body(handler: BaseHTTPRequestHandler, headers: dict[str, str]) -> Iterator[bytes]:
    if headers.get("transfer-encoding") == "chunked":
        while size := int(handler.rfile.readline(), 16):
            yield handler.rfile.read(size)
            handler.rfile.readline()
        handler.rfile.readline()
    else:
        yield handler.rfile.read(int(headers.get("content-length", "0")))
