"""Where a worker writes audit events: one JSON line each, in one write, so that workers share a
file or a pipe without mixing lines."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping

from promptward.exchange import JSON


class JsonLinesSink:
    """`promptward.ports.AuditSink` on a file descriptor.

    Args:
        descriptor: opened for appending; a full disk must not stop traffic that was decided.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Write one event."""
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        with contextlib.suppress(OSError):
            os.write(self._descriptor, line)


class NoSink:
    """Discards events, for benchmarks."""

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Discard the event."""
        del event


def open_sink(target: str) -> JsonLinesSink | NoSink:
    """The sink named `target`: `stdout` (Kong's log at level info), `none`, or a file."""
    if target == "none":
        return NoSink()
    if target == "stdout":
        return JsonLinesSink(1)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    return JsonLinesSink(os.open(target, flags, 0o640))
