"""Audit sinks: events as JSON lines to a file or to standard output, off the request's path.

Invariants: `emit` never blocks and never raises; memory is bounded, and what does not fit is
counted in `dropped`, never lost silently; every line is one complete JSON object, and only whole
lines are handed to `write(2)`, so that several processes may append to one file (O_APPEND).

What an event holds is not decided here: the core keeps prompt text and credentials out of it.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from promptward.exchange import JSON

# an event is about 1 to 2 KB: 10,000 of them are 20 MB at the most
DEFAULT_CAPACITY = 10_000
# lines written together, so that one system call serves many events under load
_BATCH = 256


class JsonLinesSink:
    """`promptward.ports.AuditSink` that appends to a file, or writes to standard output.

    A file that was moved or removed (log rotation) is opened again. A failing write loses its
    batch and is counted in `failed`; the next batch tries again.

    Args:
        path: file to append to; created with mode 0600. None writes to standard output.
        capacity: events waiting at most; further ones are dropped and counted.
    """

    def __init__(self, path: Path | None = None, *, capacity: int = DEFAULT_CAPACITY) -> None:
        self._output = _Output(path)
        self._waiting: queue.Queue[Mapping[str, JSON] | None] = queue.Queue(capacity)
        self._lock = threading.Lock()
        self._closed = False
        self.dropped = 0
        self.failed = 0
        self.written = 0
        self._thread = threading.Thread(target=self._run, name="promptward-audit", daemon=True)
        self._thread.start()

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Take one event; it must not be changed afterwards."""
        if not self._closed:
            try:
                self._waiting.put_nowait(event)
                return
            except queue.Full:
                pass
        with self._lock:
            self.dropped += 1

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything taken so far is written; False when that took too long."""
        deadline_s = time.monotonic() + timeout_s
        with self._waiting.all_tasks_done:
            while self._waiting.unfinished_tasks:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return False
                self._waiting.all_tasks_done.wait(left_s)
        return True

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is waiting and stop; later events are dropped and counted. Idempotent."""
        if self._closed:
            return
        self._closed = True
        deadline_s = time.monotonic() + timeout_s
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            return  # the output is stuck; the thread is a daemon and ends with the process
        self._thread.join(max(0.0, deadline_s - time.monotonic()))

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
        stopping = False
        while not (stopping and self._waiting.empty()):
            batch = [self._waiting.get()]
            while len(batch) < _BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            stopping = stopping or None in batch
            self._write([event for event in batch if event is not None])
            for _ in batch:
                self._waiting.task_done()
        self._output.close()

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
