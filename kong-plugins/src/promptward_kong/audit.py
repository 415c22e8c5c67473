"""Where a worker writes audit events: one JSON line each, in one write, so that workers share a
file or a pipe without mixing lines."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from promptward.exchange import JSON
from promptward_kong.output import LineWriter

# An event may wait this long for a reader that is behind; then it is dropped, not the request.
_PATIENCE_MS = 100


class JsonLinesSink:
    """`promptward.ports.AuditSink` over a LineWriter."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Write one event."""
        self._writer.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")


class NoSink:
    """Discards events, for benchmarks."""

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Discard the event."""
        del event


def open_sink(target: str) -> JsonLinesSink | NoSink:
    """The sink named `target`: `stdout` (Kong's log at level info), `none`, or a file."""
    if target == "none":
        return NoSink()
    descriptor = 1
    if target != "stdout":
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(target, flags, 0o640)
    return JsonLinesSink(LineWriter(descriptor, _PATIENCE_MS))
