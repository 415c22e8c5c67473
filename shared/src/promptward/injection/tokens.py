"""What separates words.

Invariants: what separates words is an explicit list of ranges, not this interpreter's idea of a
letter, so every gateway splits alike; Chinese, Japanese and Thai, which have no spaces, stay in one
piece here and are split by the lexicon; linear time.
"""

from __future__ import annotations

from functools import cache

# Everything in ASCII but letters, digits, `@` and `$` (both stand for letters in leetspeak).
_ASCII = "".join(chr(c) if chr(c).isalnum() or chr(c) in "@$" else " " for c in range(128))
# Punctuation, symbols and emoji outside ASCII (Unicode blocks, stable since Unicode 6).
_SEPARATORS = (
    (0x80, 0xA9), (0xAB, 0xB4), (0xB6, 0xB9), (0xBB, 0xBF), (0xD7, 0xD7), (0xF7, 0xF7),
    (0x2000, 0x206F), (0x20A0, 0x20CF), (0x2190, 0x2BFF), (0x2E00, 0x2E7F), (0x3000, 0x3004),
    (0x3008, 0x3030), (0x30FB, 0x30FB), (0xFE30, 0xFE6F), (0xFF01, 0xFF0F), (0xFF1A, 0xFF20),
    (0xFFFD, 0xFFFD), (0x1F000, 0x1FAFF),
)  # fmt: skip


@cache
def _split_table() -> dict[int, str]:
    table = {code: _ASCII[code] for code in range(128)}
    table.update((c, " ") for low, high in _SEPARATORS for c in range(low, high + 1))
    return table


def spaced(folded: str) -> str:
    """`folded` with every separator replaced by one space; the length does not change."""
    if folded.isascii():
        return folded.translate(_ASCII)
    return folded.translate(_split_table())
