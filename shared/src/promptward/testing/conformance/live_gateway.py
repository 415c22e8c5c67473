"""What gateways that run as processes share: HTTP over a socket, audit file and ledger file."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from promptward.sync import run_sync
from promptward.testing.conformance.vectors import Answer, Step
from promptward_ports.ledgers import open_ledger

# an event is written when its exchange has ended, which may be after the client has its answer
_SETTLED_WITHIN_S = 10.0
_TIMEOUT_S = 30.0


def send_over_http(host: str, port: int, step: Step) -> Answer:
    """One request on a connection of its own, exactly as the vector says."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    with contextlib.closing(connection):
        connection.putrequest(step.method, step.path, skip_host=True, skip_accept_encoding=True)
        for name, value in step.headers:
            connection.putheader(name, value.encode())
        if step.method not in ("GET", "HEAD"):
            connection.putheader("content-length", str(len(step.body)))
        # a gateway may refuse and close before it has read a large body
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders(step.body)
        response = connection.getresponse()
        body = response.read()
        return Answer(response.status, tuple(response.getheaders()), body)


class AuditFile:
    """Audit events as JSON lines, read as the gateway writes them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sent = 0

    def expect_one_more(self) -> None:
        """A request was sent: its events are to be waited for."""
        self._sent += 1

    def events(self) -> list[dict[str, Any]]:
        """Every event, once each request sent has one and each allowed one has its response.

        Raises:
            AssertionError: they do not come.
        """
        end = time.monotonic() + _SETTLED_WITHIN_S
        while True:
            events = self._read()
            if self._complete(events):
                return events
            if time.monotonic() > end:
                raise AssertionError(f"{self._sent} requests, but these events: {events[-4:]}")
            time.sleep(0.005)

    def _read(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        # the last line may still be being written
        lines = self._path.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def _complete(self, events: Sequence[Mapping[str, Any]]) -> bool:
        requests = [e for e in events if e["phase"] == "request"]
        answered = {e["request_id"] for e in events if e["phase"] == "response"}
        return len(requests) >= self._sent and all(
            e["action"] == "deny" or e["request_id"] in answered for e in requests
        )


def read_ledger(url: str) -> list[dict[str, Any]]:
    """Every entry of a ledger that another process writes."""
    ledger = open_ledger(url, timeout_s=5.0)
    try:
        return [asdict(entry) for entry in run_sync(ledger.entries())]
    finally:
        run_sync(ledger.close())
