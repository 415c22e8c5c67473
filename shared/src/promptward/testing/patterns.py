"""Texts that match a recognizer's pattern, for property tests of recognizers of one's own."""

from __future__ import annotations

from typing import Protocol

from promptward.recognizers.syntax import Alternation, Boundary, Chars, Concat, Node, Repeat, parse

_FEW = 6  # repeats drawn beyond the least; long matches add time, not coverage


class Draw(Protocol):
    """A source of choices; `random.Random` is one."""

    def randint(self, a: int, b: int, /) -> int:
        """An integer from `a` to `b`, both included."""
        ...


def matching_text(pattern: str, draw: Draw) -> str:
    """A text in the language of `pattern` (boundaries are not enforced).

    Raises:
        PolicyError: the pattern is not in the supported syntax.
    """
    return _text(parse(pattern), draw)


def _text(node: Node, draw: Draw) -> str:
    match node:
        case Chars(ranges):
            # Prefer the low, mostly ASCII ranges.
            low, high = ranges[draw.randint(0, min(len(ranges), 4) - 1)]
            return chr(draw.randint(low, min(high, low + 0x60)))
        case Boundary():
            return ""
        case Concat(items):
            return "".join(_text(item, draw) for item in items)
        case Alternation(options):
            return _text(options[draw.randint(0, len(options) - 1)], draw)
        case Repeat(item, least, most, _):
            times = draw.randint(least, min(most, least + _FEW))
            return "".join(_text(item, draw) for _ in range(times))
