"""The scripted upstream: answers each step as its vector says and remembers what reached it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from promptward.testing.conformance.vectors import STEP_HEADER, Step, Vector

_LAST_CONTENT = b"{{last_content}}"


@dataclass(frozen=True, slots=True)
class Received:
    """A request as the upstream saw it."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def answer_body(step: Step, received: bytes) -> bytes:
    """The scripted body, with what the upstream was sent put in where the script says."""
    body = step.upstream.body
    return body.replace(_LAST_CONTENT, _last_content(received)) if _LAST_CONTENT in body else body


def pieces(body: bytes, size: int) -> Iterable[bytes]:
    """`body` in pieces of at most `size` bytes; in one when size is 0."""
    size = size or max(1, len(body))
    return (body[i : i + size] for i in range(0, len(body), size))


def _last_content(received: bytes) -> bytes:
    content = json.loads(received)["messages"][-1]["content"]
    return json.dumps(content, ensure_ascii=False)[1:-1].encode()


class ScriptedUpstream:
    """An HTTP server on loopback.

    Args:
        vectors: whose steps it can answer.
        address: loopback address to listen on.
    """

    def __init__(self, vectors: Iterable[Vector], address: str = "127.0.0.1") -> None:
        self._steps = {step.name: step for v in vectors for step in v.steps}
        self._received: dict[str, list[Received]] = {}
        upstream = self

        class Handler(_Handler):
            server_upstream = upstream

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._server.server_address[:2]
        return str(host), port

    def received(self, step: str) -> list[Received]:
        """What reached the upstream for a step, in order."""
        return self._received.get(step, [])

    def answer(self, step: str, received: Received) -> tuple[Step, bytes]:
        """Record a request and say what to answer."""
        self._received.setdefault(step, []).append(received)
        scripted = self._steps[step]
        return scripted, answer_body(scripted, received.body)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server_upstream: ScriptedUpstream
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        received = Received(self.command, self.path, tuple(self.headers.items()), self._read_body())
        step, body = self.server_upstream.answer(self.headers.get(STEP_HEADER, ""), received)
        self.send_response(step.upstream.status)
        for name, value in step.upstream.headers:
            self.send_header(name, value)
        if step.upstream.cut:
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in pieces(body, step.upstream.cut):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def _read_body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        del format, args
