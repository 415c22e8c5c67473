"""Text smuggled in invisible characters: tags, variation selectors and zero-width bits.

Sources: R. Goodside on tag characters (2024); P. Butler, "Smuggling arbitrary data through an
emoji" (2025) on variation selectors; the encoding of public "hidden text" generators, where U+200B
is 0 and U+200C is 1.
Invariants: linear time; only readable payloads are returned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from promptward.injection.decoding import Payload, as_text

_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{6,}")
_TAGS = re.compile("[\U000e0020-\U000e007e]{6,}")
_BITS = re.compile("[\u200b\u200c\u200d\u2060\u2063\ufeff]{40,}")
# One of the characters of these, which is found many times quicker than so many.
_HIDING = re.compile("[\ufe00-\ufe0f\u200b-\u200d\u2060\u2063\ufeff]")
_HIDING_ASTRAL = re.compile("[\U000e0020-\U000e01ef]")


def _selector_byte(character: str) -> int:
    code = ord(character)
    return code - 0xFE00 if code <= 0xFE0F else code - 0xE0100 + 16


def _bits(run: str) -> bytes:
    digits = "".join("0" if c == "\u200b" else "1" for c in run if c in "\u200b\u200c")
    return bytes(int(digits[i : i + 8], 2) for i in range(0, len(digits) // 8 * 8, 8))


def may_hide(foreign: str) -> bool:
    """Whether the characters outside ASCII of a text could hold a payload."""
    if len(foreign) < 6 or not (_HIDING.search(foreign) or _HIDING_ASTRAL.search(foreign)):
        return False
    return bool(_SELECTORS.search(foreign) or _TAGS.search(foreign) or _BITS.search(foreign))


def hidden_payloads(text: str) -> Iterator[tuple[str, Payload]]:
    """(method, (start, end, decoded)) of every readable hidden payload in `text`."""
    for match in _SELECTORS.finditer(text):
        decoded = as_text(bytes(map(_selector_byte, match.group())))
        if decoded is not None:
            yield "selectors", (match.start(), match.end(), decoded)
    for match in _TAGS.finditer(text):
        hidden = match.group().encode("utf-32-be")[3::4]  # tags are ASCII, moved to U+E0000
        yield "tags", (match.start(), match.end(), hidden.decode("ascii"))
    for match in _BITS.finditer(text):
        decoded = as_text(_bits(match.group()))
        if decoded is not None:
            yield "zero_width", (match.start(), match.end(), decoded)
