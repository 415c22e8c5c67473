"""Inflate compressed event streams under a cap.

The core asks upstreams for identity, so this is for those that compress anyway. Whole bodies are
the core's to decode; a stream must be inflated chunk by chunk before it reaches the guard: gzip
and deflate are, anything else cannot be read and is refused.

Source: RFC 9110 section 8.4.1 (codings), RFC 1952 (gzip), RFC 1950 (zlib).
"""

from __future__ import annotations

import zlib

from promptward.exchange import Headers

# zlib's window-bits argument: 16 + 15 reads a gzip header, 15 a zlib header.
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class UnsupportedCodingError(Exception):
    """The body cannot be read: unknown coding, corrupt, or larger than the cap."""


class Inflater:
    """Incremental inflation of one body.

    Args:
        coding: a key of the known codings.
        max_bytes: most bytes that may come out in total.
    """

    def __init__(self, coding: str, max_bytes: int) -> None:
        self._stream = zlib.decompressobj(wbits=_WINDOW_BITS[coding])
        self._left = max_bytes

    @classmethod
    def for_headers(cls, headers: Headers, max_bytes: int) -> Inflater | None:
        """The inflater a response needs, or None for identity.

        Raises:
            UnsupportedCodingError: a coding we cannot read, or several.
        """
        listed = ",".join(headers.get_all("content-encoding")).lower().split(",")
        codings = [c.strip() for c in listed if c.strip() not in ("", "identity")]
        if not codings:
            return None
        if len(codings) > 1 or codings[0] not in _WINDOW_BITS:
            raise UnsupportedCodingError("unsupported_content_encoding")
        return cls(codings[0], max_bytes)

    def feed(self, data: bytes, *, last: bool = False) -> bytes:
        """Inflate the next piece.

        Raises:
            UnsupportedCodingError: corrupt, over the cap, data after the end, or cut off.
        """
        try:
            out = self._stream.decompress(data, self._left + 1)
        except zlib.error as error:
            raise UnsupportedCodingError("corrupt_content_encoding") from error
        if len(out) > self._left or self._stream.unconsumed_tail:
            raise UnsupportedCodingError("inflated_body_too_large")
        self._left -= len(out)
        if self._stream.unused_data:
            raise UnsupportedCodingError("corrupt_content_encoding")
        if last and not self._stream.eof:
            raise UnsupportedCodingError("corrupt_content_encoding")
        return out
