"""Ask a running plugin server how it is."""

from __future__ import annotations

import socket
from pathlib import Path

import msgpack  # type: ignore[import-untyped]

_MAX_STATUS_BYTES = 1 << 20


def probe(path: Path, timeout_s: float) -> dict[str, object]:
    """The answer to `plugin.GetStatus`.

    Raises:
        OSError: nobody answers in time.
        ValueError: somebody else answers.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        connection.sendall(msgpack.packb([0, 1, "plugin.GetStatus", [None]]))
        unpacker = msgpack.Unpacker(max_buffer_size=_MAX_STATUS_BYTES)
        while data := connection.recv(65536):
            unpacker.feed(data)
            for message in unpacker:
                return _status(message)
    raise ConnectionError("the connection was closed")


def _status(message: object) -> dict[str, object]:
    match message:
        case [1, 1, None, dict(status)]:
            return status
    raise ValueError("not a Promptward plugin server")
