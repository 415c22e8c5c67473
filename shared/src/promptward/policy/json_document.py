"""Read a policy that is JSON by Python's JSON reader, a hundred times as fast as by PyYAML.

It matters where a process lives for few requests: a Cloudflare isolate reads the policy in its
first one. JSON is almost a subset of YAML; wherever the two could read a text differently, or
refuse it, the answer here is `NOT_TAKEN` and the YAML reader decides, with its own error.

Invariant: what is returned is what the YAML reader of `load` would return.
"""

from __future__ import annotations

import json
import re
from typing import Final

NOT_TAKEN: Final = object()

# PyYAML's reader refuses what it calls non-printable, folds strings at NEL, LS and PS, takes no tab
# as white space, decodes each half of a surrogate pair by itself, and wants a key and its colon on
# one line (yaml/reader.py NON_PRINTABLE, yaml/scanner.py).
_READS_DIFFERENTLY = re.compile(
    "[^\\n\\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
    r"|\\u[dD][89a-fA-F]"
    r'|"[ \n\r]+:'
)
# A simple key has at most 1024 characters of source; one of ours at most six for each of these.
_MAX_KEY_CHARS = 128
# As `load` reads numbers: longer ones are strings in YAML.
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_FLOAT = re.compile(r"-?[0-9]{1,17}(?:\.[0-9]{1,17})?(?:[eE][-+]?[0-9]{1,3})?")


class _DiffersError(Exception):
    """YAML reads this in its own way."""


def read(text: str, max_depth: int) -> object:
    """The document, or NOT_TAKEN.

    Args:
        max_depth: deeper nesting is not taken.
    """
    if not text.lstrip(" \n\r").startswith("{") or _READS_DIFFERENTLY.search(text):
        return NOT_TAKEN
    try:
        document = json.loads(
            text,
            object_pairs_hook=_mapping,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_refused,
        )
    except (ValueError, RecursionError, _DiffersError):
        return NOT_TAKEN
    return NOT_TAKEN if _is_deeper(document, max_depth) else document


def _mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs) or any(len(key) > _MAX_KEY_CHARS for key in found):
        raise _DiffersError
    return found


def _integer(digits: str) -> int:
    if _INTEGER.fullmatch(digits) is None:
        raise _DiffersError
    return int(digits)


def _float(digits: str) -> float:
    if _FLOAT.fullmatch(digits) is None:
        raise _DiffersError
    return float(digits)


def _refused(_name: str) -> object:
    raise _DiffersError


def _is_deeper(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return not levels or any(_is_deeper(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return not levels or any(_is_deeper(item, levels - 1) for item in value)
    return False
