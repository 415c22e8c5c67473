"""Audit sinks: events as JSON lines to a file or to standard output, off the request's path.

Invariants: `emit` never blocks and never raises; memory is bounded, and what does not fit is
counted in `dropped`, never lost silently; every line is one complete JSON object, and only whole
lines are handed to `write(2)`, so that several processes may append to one file (O_APPEND).

What an event holds is not decided here: the core keeps prompt text and credentials out of it.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from promptward.exchange import JSON

# an event is about 1 to 2 KB: 10,000 of them are 20 MB at the most
DEFAULT_CAPACITY = 10_000
# lines written together, so that one system call serves many events under load
_BATCH = 256
# how long events are gathered; 50 wake-ups a second at the most, however many requests there are
_GATHER_S = 0.02


class JsonLinesSink:
    """`promptward.ports.AuditSink` that appends to a file, or writes to standard output.

    A file that was moved or removed (log rotation) is opened again. A failing write loses its
    batch and is counted in `failed`; the next batch tries again. A process that is killed loses
    what came in the last `_GATHER_S`; one that ends by `close` loses nothing.

    Args:
        path: file to append to; created with mode 0600. None writes to standard output.
        capacity: events waiting at most; further ones are dropped and counted.
    """

    def __init__(self, path: Path | None = None, *, capacity: int = DEFAULT_CAPACITY) -> None:
        self._output = _Output(path)
        self._capacity = capacity
        self._waiting: deque[Mapping[str, JSON]] = deque()
        self._changed = threading.Condition()
        self._idle = False
        self._hurried = 0
        self._unwritten = 0
        self._closed = False
        self.dropped = 0
        self.failed = 0
        self.written = 0
        self._thread = threading.Thread(target=self._run, name="promptward-audit", daemon=True)
        self._thread.start()

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Take one event; it must not be changed afterwards."""
        with self._changed:
            if self._closed or len(self._waiting) >= self._capacity:
                self.dropped += 1
                return
            self._waiting.append(event)
            self._unwritten += 1
            if self._idle or len(self._waiting) == _BATCH:
                self._changed.notify_all()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything taken so far is written; False when that took too long."""
        with self._changed:
            self._hurried += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._unwritten, timeout_s)
            finally:
                self._hurried -= 1

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is waiting and stop; later events are dropped and counted. Idempotent.

        When the output is stuck it gives up: the thread is a daemon and ends with the process.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout_s)

    def __enter__(self) -> JsonLinesSink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- the writer's thread --------------------------------------------------------------------

    def _run(self) -> None:
        while batch := self._next_batch():
            self._write(batch)
            with self._changed:
                self._unwritten -= len(batch)
                self._changed.notify_all()
        self._output.close()

    def _next_batch(self) -> list[Mapping[str, JSON]]:
        """Wait for events and take some; empty once closed and everything is taken.

        The first event wakes this thread; those that come while it gathers do not, because each
        wake-up takes the interpreter away from the request being served.
        """
        with self._changed:
            self._idle = True
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._idle = False
            self._changed.wait_for(self._has_gathered, _GATHER_S)
            return [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]

    def _has_gathered(self) -> bool:
        return self._closed or self._hurried > 0 or len(self._waiting) >= _BATCH

    def _write(self, batch: list[Mapping[str, JSON]]) -> None:
        lines = [line for event in batch if (line := _line(event)) is not None]
        self.failed += len(batch) - len(lines)
        if not lines:
            return
        try:
            self._output.write(b"".join(lines))
        except OSError:
            self.failed += len(lines)
        else:
            self.written += len(lines)


def _line(event: Mapping[str, JSON]) -> bytes | None:
    """One event as a line; None when it is no JSON (a mistake of ours, not worth a crash)."""
    try:
        # ASCII only: no line separator and no lone surrogate can break a reader
        text = json.dumps(dict(event), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None
    return text.encode("ascii") + b"\n"


class _Output:
    """A file descriptor that follows log rotation; standard output when there is no path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._fd = 1 if path is None else _open(path)

    def write(self, data: bytes) -> None:
        """Write all of `data`.

        Raises:
            OSError: it could not be written.
        """
        if self._path is not None and self._was_moved(self._path):
            self.close()
            self._fd = _open(self._path)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def _was_moved(self, path: Path) -> bool:
        if self._fd < 0:
            return True
        try:
            now = path.stat()
        except FileNotFoundError:
            return True
        opened = os.fstat(self._fd)
        return (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino)

    def close(self) -> None:
        if self._path is not None and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
