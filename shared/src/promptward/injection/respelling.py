"""Replacing characters by a table, at the cost of those that are there.

`str.translate` looks every character outside ASCII up and pays for each that is not in the table.
A text holds few different characters that change, so finding those and replacing one after the
other is many times quicker, as is replacing them where they stand if they are different but
sparse; the result is the same (property-tested).
Invariants: equal to `text.translate(table)` for a table whose keys are outside ASCII; linear time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_ASCII = bytes(range(128))
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
# Different characters up to which replacing one after the other beats looking every one up:
# measured, a pass over the text costs a fiftieth of `str.translate`.
FEW = 48
# ... and up to which it beats looking up only those that are there, where they are sparse: one
# among so many characters or less.
SEVERAL, SPARSE = 24, 4


def not_ascii(text: str) -> str:
    """The characters of `text` outside ASCII, in order."""
    if text.isascii():
        return ""
    spelled = text.encode("utf-8", "surrogatepass")
    return spelled.translate(None, _ASCII).decode("utf-8", "surrogatepass")


def ascii_lower(text: str) -> str:
    """`text` with A to Z in lower case, everything else as it is."""
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def char_class(codes: set[int]) -> re.Pattern[str]:
    """A pattern that finds one character out of `codes`."""
    parts: list[str] = []
    for code in sorted(codes):
        if code - 1 not in codes:
            parts.append(re.escape(chr(code)))
        elif code + 1 not in codes:
            parts.append(f"-{re.escape(chr(code))}")
    return re.compile(f"[{''.join(parts)}]" if parts else r"(?!)")


def astral(text: str) -> set[str]:
    """The different characters of `text` beyond the basic plane."""
    found: set[str] = set()
    while match := _ASTRAL.search(text):
        if len(found) == FEW:
            return found.union(_ASTRAL.findall(text, match.start()))
        found.add(match.group())
        text = text[match.end() :].replace(match.group(), "")
    return found


class Respelling:
    """A table of characters and what is written instead of them.

    Args:
        table: code point outside ASCII → its new spelling, which may be empty or longer.
    """

    __slots__ = ("_common", "_settled", "_table")

    def __init__(self, table: Mapping[int, str]) -> None:
        self._table = table
        # Classes of characters beyond the basic plane are slow: those are looked up one by one.
        self._common = char_class({code for code in table if code <= 0xFFFF})
        # whether the basic plane becomes nothing beyond it that would change in its turn
        written = "".join(text for code, text in table.items() if code <= 0xFFFF)
        self._settled = table.keys().isdisjoint(map(ord, astral(written)))

    def changed(self, foreign: str, most: int) -> dict[str, str]:
        """Which characters of `foreign` have another spelling; no more than some over `most`.

        Args:
            foreign: the characters outside ASCII of a text.
            most: how many different ones are of interest.
        """
        table = self._table
        found = {c: table[ord(c)] for c in astral(foreign) if ord(c) in table}
        at = 0
        while len(found) <= most and (match := self._common.search(foreign, at)):
            at = match.start()
            found[match.group()] = table[ord(match.group())]
            foreign = foreign.replace(match.group(), "")
        return found

    def __call__(self, text: str, foreign: str) -> str:
        """`text`, whose characters outside ASCII are `foreign`, in the new spelling."""
        changed = self.changed(foreign, FEW)
        if len(changed) > SEVERAL and len(foreign) * SPARSE < len(text) and self._settled:
            return self._where_it_stands(text)
        # What is written must not be taken for something to change: such a character comes later.
        later = {c for c, written in changed.items() if not changed.keys().isdisjoint(written)}
        if len(changed) > FEW or not later.isdisjoint("".join(changed[c] for c in later)):
            return text.translate(self._table)
        for group in (changed.keys() - later, later):
            for character in group:
                text = text.replace(character, changed[character])
        return text

    def _where_it_stands(self, text: str) -> str:
        table = self._table

        def written(match: re.Match[str]) -> str:
            return table.get(ord(match.group()), match.group())

        return _ASTRAL.sub(written, self._common.sub(written, text))
