"""Where a worker writes audit events: one JSON line each, in one write, so that workers share a
file or a pipe without mixing lines."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from promptward.exchange import JSON
from promptward_kong.output import LineWriter

# An event may wait this long for a reader that is behind; then it is dropped, not the request.
_PATIENCE_MS = 100


def _line(event: Mapping[str, JSON]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


class JsonLinesSink:
    """`promptward.ports.AuditSink` over a LineWriter."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Write one event."""
        self._writer.write(_line(event))


class FileSink:
    """`promptward.ports.AuditSink` that appends to a file, opened again after log rotation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o640)
        self._writer = LineWriter(self._descriptor, _PATIENCE_MS)

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Write one event."""
        line = _line(event)
        with self._lock:
            self._follow_rotation()
            self._writer.write(line)

    def _follow_rotation(self) -> None:
        with contextlib.suppress(OSError):
            try:
                there: os.stat_result | None = self._path.stat()
            except FileNotFoundError:
                there = None
            ours = os.fstat(self._descriptor)
            if there is None or (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
                before = self._descriptor
                self._open()
                os.close(before)


class NoSink:
    """Discards events, for benchmarks."""

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Discard the event."""
        del event


def open_sink(target: str) -> JsonLinesSink | FileSink | NoSink:
    """The sink named `target`: `stdout` (Kong's log at level info), `none`, or a file."""
    if target == "none":
        return NoSink()
    if target == "stdout":
        return JsonLinesSink(LineWriter(1, _PATIENCE_MS))
    return FileSink(Path(target))
