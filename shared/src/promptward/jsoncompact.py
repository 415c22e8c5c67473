"""JSON texts without spaces, from an encoder that is kept.

`json.JSONEncoder.encode` makes an encoder for every text, a third of the time a short one takes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def compact_encoder(
    default: Callable[[Any], Any] | None = None,
    *,
    ensure_ascii: bool = True,
    allow_nan: bool = True,
) -> Callable[[Any], str]:
    """The same texts as `encode` of a `json.JSONEncoder` with these arguments.

    Args:
        default, ensure_ascii, allow_nan: as there. What refers to itself is a RecursionError here.
    """
    encoder = json.JSONEncoder(
        default=default, ensure_ascii=ensure_ascii, allow_nan=allow_nan, separators=(",", ":")
    )
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # a Python without the encoder in C
        return encoder.encode
    quoted = json.encoder.encode_basestring_ascii
    if not ensure_ascii:
        quoted = json.encoder.encode_basestring
    chunks = make(None, encoder.default, quoted, None, ":", ",", False, False, allow_nan)
    return lambda value: "".join(chunks(value, 0))
