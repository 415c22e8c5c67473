"""The Redis protocol, as far as the ledger's calls need it: sans-IO, RESP2.

Invariants: any cut of the incoming bytes gives the same replies; a reply larger than
`MAX_REPLY_BYTES` or malformed raises `ProtocolError`, after which the connection is of no use.
Source: redis.io, "Redis serialization protocol specification".
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_REPLY_BYTES = 1 << 20
"""A reservation of 32 lines answers at most 140 KB."""
MAX_DEPTH = 4

RespValue = bytes | int | None | list["RespValue"]


class ProtocolError(Exception):
    """The peer does not speak RESP2, or too much of it."""


class ErrorReplyError(Exception):
    """An error the server answered. `code` is its first word, for example NOSCRIPT."""

    def __init__(self, text: str) -> None:
        self.code = text.partition(" ")[0]
        super().__init__(self.code)  # the rest may quote arguments


def encode_command(*parts: bytes) -> bytes:
    """One command."""
    return b"*%d\r\n%b" % (len(parts), encode_parts(parts))


def encode_parts(parts: Sequence[bytes]) -> bytes:
    """Some of a command's parts."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])


class Replies:
    """Cuts a stream of bytes into replies."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[RespValue | ErrorReplyError]:
        """The replies that `data` completes.

        Raises:
            ProtocolError: the bytes are not replies.
        """
        buffer = self._buffer + data if self._buffer else data
        found: list[RespValue | ErrorReplyError] = []
        at = 0
        while at < len(buffer):
            parsed = _parse(buffer, at, 0)
            if parsed is None:
                break
            value, at = parsed
            found.append(value)
        self._buffer = buffer[at:]
        if len(self._buffer) > MAX_REPLY_BYTES:
            raise ProtocolError("reply too large")
        return found


def _parse(buffer: bytes, at: int, depth: int) -> tuple[RespValue | ErrorReplyError, int] | None:
    """The reply at `at` and where the next begins; None when it is not all there."""
    end = buffer.find(b"\r\n", at)
    if end < 0:
        return None
    kind, line, after = buffer[at : at + 1], buffer[at + 1 : end], end + 2
    if kind == b"$":
        return _parse_bulk(buffer, after, _number(line))
    if kind == b":":
        return _number(line), after
    if kind == b"*":
        return _parse_array(buffer, after, _number(line), depth)
    if kind == b"+":
        return line, after
    if kind == b"-":
        return ErrorReplyError(line.decode("utf-8", "replace")), after
    raise ProtocolError("unknown reply type")


def _parse_bulk(buffer: bytes, at: int, size: int) -> tuple[RespValue, int] | None:
    if size < 0:
        return None, at
    if size > MAX_REPLY_BYTES:
        raise ProtocolError("reply too large")
    end = at + size
    if len(buffer) < end + 2:
        return None
    return buffer[at:end], end + 2


def _parse_array(buffer: bytes, at: int, size: int, depth: int) -> tuple[RespValue, int] | None:
    if depth >= MAX_DEPTH or size > MAX_REPLY_BYTES:
        raise ProtocolError("reply too large")
    values: list[RespValue] = []
    for _ in range(size):
        parsed = _parse(buffer, at, depth + 1)
        if parsed is None:
            return None
        value, at = parsed
        if isinstance(value, ErrorReplyError):
            raise ProtocolError("error inside a reply")
        values.append(value)
    return values, at


def _number(line: bytes) -> int:
    if len(line) > 20 or not line.lstrip(b"-").isdigit():
        raise ProtocolError("not a number")
    return int(line)


def checked(values: Sequence[RespValue | ErrorReplyError]) -> None:
    """Raise the first error among replies, for example of a handshake."""
    for value in values:
        if isinstance(value, ErrorReplyError):
            raise value
