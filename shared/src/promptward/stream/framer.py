"""The event-stream framer: bytes in any cut to frames, every byte accounted for.

Source: WHATWG HTML Living Standard, section 9.2.6 "Interpreting an event stream": lines end with
LF, CRLF or CR; a blank line ends an event; one leading byte order mark is ignored.

Invariants: the `raw` of all frames, joined, is the input (less the byte order mark and plus a
final blank line where the stream ended without one), so an untouched frame is forwarded byte for
byte; frames do not depend on where the input was cut; what is retained never exceeds
`max_event_bytes`. A CR at the very end of the input waits for the next byte, which may be its LF.
Nothing is decoded here except field names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"
_BLANK_LINE = re.compile(rb"\n[\r\n]|\r\r")  # CRLF LF and CRLF CR end in the first alternative
_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventTooLargeError(Exception):
    """An event exceeds the bound; the framer can only be thrown away."""


class Frame(NamedTuple):
    """One event as received.

    Attributes:
        raw: its bytes, the blank line that ends it included.
        data: the `data` lines joined by LF, or None when there is none (a comment, a lone id).
        name: the last `event` field; empty when there is none.
        others: every other line (comments, `id`, `retry`, unknown fields, overruled names),
            without line ends.
    """

    raw: bytes
    data: bytes | None
    name: bytes = b""
    others: tuple[bytes, ...] = ()


class EventFramer:
    """Cuts one event stream into frames.

    Args:
        max_event_bytes: most bytes one event may have, at least 16.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max = max_event_bytes
        self._buffer = bytearray()
        self._scanned = 0  # no blank line begins before this offset
        self._at_start = True

    @property
    def retained_bytes(self) -> int:
        """Bytes held back now."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take a chunk; yields the frames that are complete. Must be exhausted.

        Raises:
            EventTooLargeError: an event is larger than the bound.
        """
        if self._is_plain(data):
            for raw in data.split(b"\n\n")[:-1]:
                if len(raw) + 2 > self._max:
                    raise EventTooLargeError
                yield _frame(raw + b"\n\n")
            return
        # Piece by piece, so that what is retained stays bounded whatever the chunk's size.
        for start in range(0, len(data), self._max):
            self._buffer += data[start : start + self._max]
            if self._at_start and not self._skip_mark():
                continue
            while (frame := self._next()) is not None:
                yield frame
            if len(self._buffer) > self._max:
                raise EventTooLargeError

    def _is_plain(self, data: bytes) -> bool:
        """Whole events with LF alone: what nearly every chunk is, and quick to cut."""
        return (
            not self._buffer
            and not self._at_start
            and data.endswith(b"\n\n")
            and not data.startswith(b"\n")
            and b"\r" not in data
            and b"\n\n\n" not in data
        )

    def close(self) -> Iterator[Frame]:
        """The stream ended; yields what was left, completed by a blank line."""
        if self._buffer and not (self._at_start and _BOM.startswith(bytes(self._buffer))):
            self._at_start = False
            rest = bytes(self._buffer)
            self._buffer.clear()
            if not rest.strip(b"\r\n"):
                yield Frame(rest, None)
            else:
                complete = _BLANK_LINE.fullmatch(rest[-2:]) is not None
                yield _frame(rest if complete else rest.rstrip(b"\r\n") + b"\n\n")

    def _skip_mark(self) -> bool:
        """Drop a leading byte order mark; False while it is undecided."""
        if len(self._buffer) < len(_BOM) and _BOM.startswith(bytes(self._buffer)):
            return False
        if self._buffer.startswith(_BOM):
            del self._buffer[: len(_BOM)]
        self._at_start = False
        return True

    def _next(self) -> Frame | None:
        buffer = self._buffer
        if not buffer:
            return None
        if buffer[0] in (0x0A, 0x0D):
            return self._blank()
        end = self._end_of_event()
        if end is None:
            return None
        if end > self._max:
            raise EventTooLargeError
        raw = bytes(buffer[:end])
        del buffer[:end]
        self._scanned = 0
        return _frame(raw)

    def _end_of_event(self) -> int | None:
        match = _BLANK_LINE.search(self._buffer, self._scanned)
        if match is None:
            self._scanned = max(0, len(self._buffer) - 1)
            return None
        end = match.end()
        if self._buffer[end - 1] == 0x0D:  # CR: an LF behind it would belong to it
            if end == len(self._buffer):
                self._scanned = match.start()
                return None
            end += self._buffer[end] == 0x0A
        return end

    def _blank(self) -> Frame | None:
        """A blank line where no event is: nothing, but bytes of the stream."""
        size = 1
        if self._buffer[0] == 0x0D:
            if len(self._buffer) == 1:
                return None
            size += self._buffer[1] == 0x0A
        raw = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._scanned = 0
        return Frame(raw, None)


def _frame(raw: bytes) -> Frame:
    data = raw[6:-2]
    if raw.startswith(b"data: ") and raw.endswith(b"\n\n") and not _LINE_END.search(data):
        return Frame(raw, data)
    return _parsed(raw)


def _parsed(raw: bytes) -> Frame:
    data: list[bytes] = []
    name = named = b""
    others: list[bytes] = []
    for line in _LINE_END.split(raw):
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"data":
            data.append(value)
        elif key == b"event":
            if named:
                others.append(named)  # overruled, but its bytes are still there
            name, named = value, line
        elif line:
            others.append(line)
    return Frame(raw, b"\n".join(data) if data else None, name, tuple(others))
