"""Bodies before they are parsed: sizes, content-encoding, content-type.

Only gzip and deflate are undone, under a cap and incrementally, so that a small body cannot
become a large one; anything else is refused with 415 (RFC 9110 section 8.4).
"""

from __future__ import annotations

import zlib

from promptward.errors import ExchangeError
from promptward.exchange import Body, Headers
from promptward.policy.model import Limits

# wbits for zlib.decompressobj: 16 + 15 reads gzip, 15 zlib ("deflate" in HTTP, RFC 9110 8.4.1.2)
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def decoded_body(headers: Headers, body: Body, limits: Limits, status: int) -> tuple[bytes, bool]:
    """The body with its content-encoding undone.

    Args:
        status: status hint when the body is unacceptable: 415 for a request, 502 for a response.

    Returns:
        The bytes, and whether an encoding was undone.

    Raises:
        ExchangeError: too large, cut off, or encoded in a way we do not read.
    """
    # first: a gateway may stop reading once a body is over the limit, and all answer alike
    if len(body.data) > limits.max_body_bytes:
        raise _too_large(limits.max_body_bytes, status)
    if not body.complete:
        raise ExchangeError(
            "truncated_body",
            "the gateway passed only a part of the body",
            413 if status < 500 else status,
        )
    encoding = headers.get("content-encoding")
    if encoding is None or encoding.strip().lower() in ("", "identity"):
        return body.data, False
    wbits = _WBITS.get(encoding.strip().lower())
    if wbits is None:
        raise ExchangeError(
            "unsupported_content_encoding",
            "content-encoding must be identity, gzip or deflate",
            status,
        )
    return _inflate(body.data, wbits, limits.max_decompressed_bytes, status), True


def require_json(headers: Headers) -> None:
    """Refuse a request body that does not say it is JSON.

    Raises:
        ExchangeError: 415 for another or no content-type, or a charset other than UTF-8.
    """
    value = headers.get("content-type") or ""
    media_type, _, parameters = value.partition(";")
    if media_type.strip().lower() != "application/json":
        raise ExchangeError("unsupported_media_type", "content-type must be application/json", 415)
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if charset not in ("", "utf-8", "utf8"):
        raise ExchangeError("unsupported_charset", "charset must be UTF-8", 415)


def _inflate(data: bytes, wbits: int, max_bytes: int, status: int) -> bytes:
    inflater = zlib.decompressobj(wbits)
    try:
        out = inflater.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise ExchangeError(
            "invalid_content_encoding", "the body is not what content-encoding says", _bad(status)
        ) from error
    if len(out) > max_bytes:
        raise _too_large(max_bytes, status)
    if not inflater.eof or inflater.unused_data:
        raise ExchangeError(
            "invalid_content_encoding", "the compressed body is cut off or has a tail", _bad(status)
        )
    return out


def _bad(status: int) -> int:
    return 400 if status < 500 else status


def _too_large(max_bytes: int, status: int) -> ExchangeError:
    return ExchangeError(
        "body_too_large",
        f"the body is larger than {max_bytes} bytes",
        413 if status < 500 else status,
    )
