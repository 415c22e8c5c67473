"""The log of what reached the upstream: one line for each request body.

A line is the body itself when it is JSON (line breaks, which JSON only has as white space, become
spaces), otherwise the body as a JSON string.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO


class RequestLog:
    """Appends lines, each flushed before the request is answered.

    Args:
        out: where lines go, or None for nowhere.
    """

    def __init__(self, out: IO[bytes] | None) -> None:
        self._out = out

    @classmethod
    def open(cls, path: Path | None) -> RequestLog:
        """A log that appends to `path`; None for none."""
        return cls(path.open("ab") if path else None)

    def write(self, body: bytes) -> None:
        """Log one body."""
        if self._out is None:
            return
        self._out.write(line_of(body) + b"\n")
        self._out.flush()


def line_of(body: bytes) -> bytes:
    """The line for a body, without its end."""
    try:
        json.loads(body)
    except ValueError:
        return json.dumps(body.decode("latin-1")).encode()
    return body.replace(b"\r", b" ").replace(b"\n", b" ")
