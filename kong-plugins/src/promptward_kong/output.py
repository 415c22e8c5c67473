"""Lines to Kong's pipe: whole, and never at the price of waiting.

Kong reads the server's stdout and stderr through one pipe and may fall behind. A write that
waited for it would stall every request, so a line that finds no room is dropped.

Invariant: the text of an exception is never written, for it may quote a prompt; its class and
where it came from are.
"""

from __future__ import annotations

import logging
import os
import select
import traceback
from types import TracebackType

_FRAMES = 8
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LineWriter:
    """Writes lines to a descriptor.

    Args:
        patience_ms: how long a line may wait for room, milliseconds.
    """

    def __init__(self, descriptor: int, patience_ms: int = 0) -> None:
        self._descriptor = descriptor
        self._patience_ms = patience_ms
        self.dropped = 0

    def write(self, line: bytes) -> None:
        """Write one line, or drop it when the reader is behind, gone or the disk is full."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        try:
            if poll.poll(self._patience_ms):
                os.write(self._descriptor, line)
                return
        except OSError:
            pass
        self.dropped += 1


class _Formatter(logging.Formatter):
    """Exceptions as class and places, without their text."""

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        kind, error, _ = ei
        if kind is None or error is None:
            return ""
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        places = " < ".join(f"{f.filename}:{f.lineno} {f.name}" for f in reversed(frames))
        return f"{kind.__name__} at {places}"


class LineHandler(logging.Handler):
    """Log records as single lines."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer
        self.setFormatter(_Formatter("promptward-kong %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            text = self.format(record).replace("\n", " | ")
        except Exception:  # noqa: BLE001 - a record that cannot be formatted stops nothing
            self.handleError(record)
            return
        self._writer.write(text.encode("utf-8", "replace") + b"\n")


def log_to(descriptor: int) -> None:
    """Send the process's log records, warnings and worse, to `descriptor`."""
    logging.basicConfig(
        level=logging.WARNING, handlers=[LineHandler(LineWriter(descriptor))], force=True
    )
    logging.raiseExceptions = False
