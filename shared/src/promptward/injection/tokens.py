"""What separates words.

Invariants: what separates words is an explicit list of ranges, not this interpreter's idea of a
letter, so every gateway splits alike; Chinese, Japanese and Thai, which have no spaces, stay in one
piece here and are split by the lexicon; linear time.
"""

from __future__ import annotations

from functools import cache

from promptward.injection.respelling import Respelling, not_ascii

# Everything in ASCII but letters, digits, `@` and `$` (both stand for letters in leetspeak).
_ASCII = "".join(chr(c) if chr(c).isalnum() or chr(c) in "@$" else " " for c in range(128))
# Punctuation, symbols and emoji outside ASCII (Unicode blocks, stable since Unicode 6).
_SEPARATORS = (
    (0x80, 0xA9), (0xAB, 0xB4), (0xB6, 0xB9), (0xBB, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7),
    (0x2000, 0x206F), (0x20A0, 0x20CF), (0x2190, 0x2BFF), (0x2E00, 0x2E7F), (0x3000, 0x3004),
    (0x3008, 0x3030), (0x30FB, 0x30FB), (0xFE30, 0xFE6F), (0xFF01, 0xFF0F), (0xFF1A, 0xFF20),
    (0xFFFD, 0xFFFD), (0x1F000, 0x1FAFF),
)  # fmt: skip


_MARKS = bytes(ord(_ASCII[c]) for c in range(128)) + bytes(range(128, 256))


@cache
def _foreign() -> Respelling:
    codes = (c for low, high in _SEPARATORS for c in range(low, high + 1))
    return Respelling(dict.fromkeys(codes, " "))


def spaced(folded: str) -> str:
    """`folded` with every separator replaced by one space; the length does not change."""
    if folded.isascii():
        return folded.translate(_ASCII)
    text = _foreign()(folded, not_ascii(folded))
    spelled = text.encode("utf-8", "surrogatepass").translate(_MARKS)
    return spelled.decode("utf-8", "surrogatepass")
