"""Messages between the front and a worker: length-prefixed MessagePack on a stream socket.

    front → worker   [kind, instance, configuration | nil, deadline_s, payload]
    worker → front   [ok, result | reason]

A lane carries one job at a time, so no message has an id. Both ends are our own processes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import msgpack  # type: ignore[import-untyped]

_LENGTH = struct.Struct("!I")

# Largest message: a body at the server's own limit plus headers. A longer one is a bug.
MAX_FRAME_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """One unit of work.

    Attributes:
        kind: which handler.
        instance: key of the instance.
        config: the instance's configuration as JSON text when the worker does not have it yet.
        deadline_s: monotonic time after which nobody waits for the answer.
        payload: packable.
    """

    kind: str
    instance: str
    config: str | None
    deadline_s: float
    payload: object

    def encode(self) -> bytes:
        return frame([self.kind, self.instance, self.config, self.deadline_s, self.payload])

    @classmethod
    def decode(cls, data: bytes) -> Job:
        """The job in a frame's payload."""
        match unframe(data):
            case [str(kind), str(instance), (str() | None) as config, float(deadline_s), payload]:
                return cls(kind, instance, config, deadline_s, payload)
        raise ValueError("not a job")


def frame(value: object) -> bytes:
    """Length and packed value.

    Raises:
        TypeError, ValueError, OverflowError: it has no MessagePack form or is too long.
    """
    data: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    if len(data) > MAX_FRAME_BYTES:
        raise ValueError("message too large for a worker")
    return _LENGTH.pack(len(data)) + data


def unframe(data: bytes) -> object:
    """The value in a frame's payload."""
    value: object = msgpack.unpackb(data, unicode_errors="surrogatepass", strict_map_key=False)
    return value


class FrameAssembler:
    """Cuts a byte stream into frame payloads."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                return
            yield bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
