"""Read an HTTP body under a cap of bytes and a deadline."""

from __future__ import annotations

import time

import requests

from promptward.errors import PortError

_CHUNK_BYTES = 16 * 1024


def read_bounded(
    response: requests.Response, *, port: str, max_bytes: int, deadline_s: float
) -> bytes:
    """The decoded body of a streamed response.

    Args:
        port: name of the port the failure belongs to.
        max_bytes: more is refused, counted after content-encoding is undone.
        deadline_s: on the monotonic clock.

    Raises:
        PortError: too large, or too late.
    """
    body = bytearray()
    # read1 returns after one read of the socket, so the deadline also holds for a server that
    # sends a byte now and then; iter_content would wait for a full chunk
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > max_bytes:
            raise PortError(port, f"the answer is larger than {max_bytes} bytes")
        if time.monotonic() > deadline_s:
            raise PortError(port, "the answer took too long")
    return bytes(body)
