"""Strict JSON (RFC 8259 and nothing beside it): one reader, one canonical writer, pointer edits.

Purpose: every body is read here, so that no two readers of one exchange can disagree about it.
What RFC 8259 leaves open ("names SHOULD be unique", section 4; numbers, section 6; surrogates,
section 8.2; depth and size, section 9) is refused, with a stable code and a place.

Invariants: the standard library's C scanner decides what is accepted; depth and item count are
bounded *before* it recurses, so no input can exhaust the stack (Pyodide's is shallow). Refusals are
explained by `jsonfault`, never by the interpreter's own messages: those differ between versions,
and the error body must not. Messages never quote content. The writer's output depends on the value
only: keys in the order received, no white space, non-ASCII as it is; `float.__repr__` (shortest
round trip) and `int.__repr__` are the same on every supported interpreter.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from promptward.errors import ExchangeError
from promptward.exchange import JSON
from promptward.jsoncompact import compact_encoder
from promptward.jsonfault import MAX_INTEGER_DIGITS, describe, locate

_BOM = b"\xef\xbb\xbf"
_STEP = {0x5B: 1, 0x7B: 1, 0x5D: -1, 0x7D: -1}  # [ { ] }
_NOT_BRACKETS = bytes(b for b in range(256) if b not in _STEP)
# A surrogate pair, or (group 1) a surrogate that has no partner; RFC 8259 section 8.2.
_SURROGATES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F])"
)


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """Bounds on one JSON text.

    Attributes:
        max_bytes: size of the text in bytes.
        max_depth: containers inside one another; at most 200 (well below any recursion limit).
        max_items: commas plus containers: an upper bound of the values a text can hold.
    """

    max_bytes: int = 1_048_576
    max_depth: int = 64
    max_items: int = 100_000

    def __post_init__(self) -> None:
        if not (self.max_bytes >= 1 and 1 <= self.max_depth <= 200 and self.max_items >= 1):
            raise ValueError("JsonLimits: max_bytes and max_items >= 1, 1 <= max_depth <= 200")


class _RefusedError(ValueError):
    """A hook of the scanner saw something RFC 8259 readers disagree about."""


def _unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _RefusedError
    return document


def _integer(digits: str) -> int:
    if len(digits) > MAX_INTEGER_DIGITS:
        raise _RefusedError
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _RefusedError
    return number


def _no_constant(_: str) -> JSON:
    raise _RefusedError


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_finite, parse_constant=_no_constant
)
_encode = compact_encoder(ensure_ascii=False, allow_nan=False)
DEFAULT_LIMITS = JsonLimits()


def parse(data: bytes, limits: JsonLimits = DEFAULT_LIMITS) -> JSON:
    """Read one JSON text.

    Args:
        data: the whole text, UTF-8.
        limits: see JsonLimits.

    Raises:
        ExchangeError: `empty_body`, `body_too_large` (413), `byte_order_mark`, `invalid_utf8`,
            `json_too_deep`, `json_too_large`, `lone_surrogate`, `duplicate_key`,
            `number_out_of_range`, `not_a_number` or `invalid_json`.
    """
    if len(data) > limits.max_bytes:
        raise ExchangeError(
            "body_too_large", f"the body is larger than {limits.max_bytes} bytes", 413
        )
    if data.startswith(_BOM):
        raise ExchangeError("byte_order_mark", "the body starts with a byte order mark")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ExchangeError(
            "invalid_utf8", f"the body is not valid UTF-8 at byte {error.start}"
        ) from None
    # Brackets and commas inside strings count too: the cheap test only ever errs on the safe side.
    opened = data.count(b"[") + data.count(b"{")
    if opened > limits.max_depth or (
        len(data) > limits.max_items and opened + data.count(b",") > limits.max_items
    ):
        _bound(data, limits)
    # One byte is found ten times as fast as three, and most bodies hold no escape at all.
    if b"\\" in data and (b"\\ud" in data or b"\\uD" in data):
        _no_lone_surrogate(data)
    try:
        value: JSON = _DECODER.decode(text)
    except ValueError:
        raise describe(locate(text)) from None
    return value


def _bound(data: bytes, limits: JsonLimits) -> None:
    """Refuse depth and item bombs, looking only outside strings.

    A text is followed exactly as far as the scanner would follow it: up to the first error both
    agree on what is inside a string, and behind that error the scanner does not go.
    """
    unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b" ".join(unescaped.split(b'"')[::2])
    brackets = outside.translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > limits.max_depth:
        raise ExchangeError(
            "json_too_deep", f"the body is nested deeper than {limits.max_depth} levels"
        )
    if outside.count(b",") + outside.count(b"[") + outside.count(b"{") > limits.max_items:
        raise ExchangeError(
            "json_too_large", f"the body holds more than {limits.max_items} values", 413
        )


def _no_lone_surrogate(data: bytes) -> None:
    # An escaped backslash is not the start of an escape; same length, so that offsets hold.
    for match in _SURROGATES.finditer(data.replace(b"\\\\", b"__")):
        if match[1]:
            raise ExchangeError(
                "lone_surrogate", f"the body escapes a lone surrogate at byte {match.start()}"
            )


def parse_object(data: bytes, limits: JsonLimits = DEFAULT_LIMITS) -> dict[str, JSON]:
    """Read one JSON text that must be an object.

    Raises:
        ExchangeError: as `parse`, or `invalid_type`.
    """
    value = parse(data, limits)
    if not isinstance(value, dict):
        raise ExchangeError("invalid_type", "the body must be a JSON object")
    return value


def dumps_canonical(value: JSON) -> bytes:
    """The canonical bytes of `value`; `parse` of them gives `value` again.

    Raises:
        ValueError: a number is not finite or a string holds a lone surrogate (never true of what
            `parse` returned).
    """
    return _encode(value).encode("utf-8")


def escape_token(name: str) -> str:
    """`name` as one reference token of a JSON pointer (RFC 6901 section 3)."""
    if "~" in name or "/" in name:
        return name.replace("~", "~0").replace("/", "~1")
    return name


def _tokens(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise KeyError(pointer)
    return [t.replace("~1", "/").replace("~0", "~") for t in pointer.split("/")[1:]]


def set_pointer(document: JSON, pointer: str, value: JSON) -> JSON:
    """`document` with the value at `pointer` replaced; see `set_pointers`."""
    return set_pointers(document, {pointer: value})


def set_pointers(document: JSON, edits: Mapping[str, JSON]) -> JSON:
    """A copy of `document` with existing values replaced.

    Only the containers on the way are copied; everything else is shared with `document`, which
    is not changed.

    Args:
        document: what `parse` returned.
        edits: RFC 6901 pointer -> new value; no pointer may lie inside another one.

    Raises:
        KeyError: a pointer leads nowhere: our own mistake, never the client's.
    """
    root: list[JSON] = [document]
    copied: set[int] = set()  # ids of the containers that are ours already
    for pointer, value in edits.items():
        container: list[JSON] | dict[str, JSON] = root
        last = "0"
        for token in _tokens(pointer):
            container = _own_child(container, last, copied)
            last = token
        _replace(container, last, value)
    return root[0]


def has_pointer(document: JSON, pointer: str) -> bool:
    """Whether `document` has a value at `pointer`, which is as in `set_pointers`."""
    for token in _tokens(pointer):
        if isinstance(document, dict) and token in document:
            document = document[token]
        elif isinstance(document, list) and token.isascii() and token.isdigit():
            if int(token) >= len(document):
                return False
            document = document[int(token)]
        else:
            return False
    return True


def _own_child(
    container: list[JSON] | dict[str, JSON], token: str, copied: set[int]
) -> list[JSON] | dict[str, JSON]:
    """The child of `container` named `token`, copied on first use."""
    child = container[_index(container, token)] if isinstance(container, list) else container[token]
    if not isinstance(child, (list, dict)):
        raise KeyError(token)
    if id(child) not in copied:
        child = child.copy()
        copied.add(id(child))
        _replace(container, token, child)
    return child


def _replace(container: list[JSON] | dict[str, JSON], token: str, value: JSON) -> None:
    if isinstance(container, list):
        container[_index(container, token)] = value
    elif token in container:
        container[token] = value
    else:
        raise KeyError(token)


def _index(container: list[JSON], token: str) -> int:
    if token.isascii() and token.isdigit() and int(token) < len(container):
        return int(token)
    raise KeyError(token)
