"""An HTTP server with the contract of Presidio's REST analyzer, and a stand-in for its model.

The contract is the one `promptward_ports.classifiers.presidio_http` quotes. `word_analyzer` is not
Presidio: it finds the words it is given and no others, so that tests need no language model.
`tests/presidio` puts the real engine behind the same server.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from promptward.testing.fakes import WordClassifier

Fault = Callable[[BaseHTTPRequestHandler], None]


class AnalyzerServer:
    """An HTTP server on loopback that answers POST /analyze.

    Args:
        analyze: from (text, the whole request) to the spans of one text, as JSON.

    Attributes:
        url: base address.
        asked: bodies of the requests, in order.
        headers: their headers, names in lower case.
        connections: connections accepted so far.
        fault: answers instead, when set.
    """

    def __init__(self, analyze: Callable[[str, dict[str, Any]], list[Any]]) -> None:
        self._analyze = analyze
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.fault: Fault | None = None
        analyzer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer waits 40 ms for a delayed ACK

            def setup(self) -> None:
                analyzer.connections += 1
                super().setup()

            def do_POST(self) -> None:
                analyzer._serve(self)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        self.asked.append(json.loads(body))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        try:
            if self.fault is not None:
                self.fault(request)
            elif request.path == "/analyze":
                self._answer(self.asked[-1])(request)
            else:
                answer({"error": "no such path"}, 404)(request)
        except OSError:
            request.close_connection = True  # the client had enough

    def _answer(self, asked: dict[str, Any]) -> Fault:
        text = asked["text"]
        try:
            if isinstance(text, list):
                return answer([self._analyze(one, asked) for one in text])
            return answer(self._analyze(text, asked))
        except ValueError as error:
            return answer({"error": str(error)}, 500)


def word_analyzer(words: Mapping[str, str], breaks_on: str = "") -> AnalyzerServer:
    """A server that finds words, each with a score of 0.85.

    Args:
        words: word -> entity.
        breaks_on: answers 500 to a request with this text in it, unless empty.
    """
    known = WordClassifier(words)

    def analyze(text: str, asked: dict[str, Any]) -> list[Any]:
        if breaks_on and breaks_on in text:
            raise ValueError("as it was told")
        return [
            {
                "analysis_explanation": None,
                "end": span.end,
                "entity_type": span.entity,
                "score": span.score,
                "start": span.start,
            }
            for span in known.spans(text)
            if span.entity in asked["entities"] and span.score >= asked["score_threshold"]
        ]

    return AnalyzerServer(analyze)


def answer(document: Any, status: int = 200, **headers: str) -> Fault:
    """Answers with a JSON document, or with bytes as they are."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        fields = {"content-type": "application/json", "content-length": str(len(data)), **headers}
        for name, value in fields.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(data)

    return send
