"""Shapes: what the beginnings of a number's matches look like, as one pattern run inside `re`.

A shape is a text with every capital written `A`, every small letter `a` (Latin-1), the first digit
`0` or `1` (for any other), every later digit `d`, and all else as it is. The first characters of
all matches of many recognizers have few shapes; a trie of them, entered at the first digit of a
match, passes over the numbers of a text that fit no recognizer about ten times as fast as trying
each recognizer from Python.

The trie does not read the text but its *outline*, a byte per character: `re` looks for one byte
(any digit but 0 is `1` there) ten times as fast as for one of a class of characters.

Invariant: a place where a recognizer matches has one of the recognizer's shapes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

from promptward.recognizers.syntax import (
    Alternation,
    Boundary,
    Chars,
    Concat,
    Node,
    Repeat,
)
from promptward.recognizers.tries import trie_of, trie_pattern

# How much of a shape is kept, the most telling first: characters, and how many of those after the
# first digit may be no digits. The first size with few enough shapes is taken.
_SIZES = ((12, 6), (12, 3), (8, 4), (6, 6), (5, 5), (4, 4), (3, 3), (2, 2))
_MOST_SHAPES = 160
DEEPEST = 16  # characters of a shape that needs more of them to get to a digit
_KINDS = (
    ("d", 0x30, 0x39),
    ("A", 0x41, 0x5A),
    ("A", 0xC0, 0xDE),
    ("a", 0x61, 0x7A),
    ("a", 0xDF, 0xFF),
)
_WIDEST = 24  # symbols one place may have; a wider one ends the shape
_TO_SHAPE = {code: symbol for symbol, low, high in _KINDS for code in range(low, high + 1)}
_FIRST_DIGITS = "01"
# Bytes of an outline that a symbol stands for, where that is not itself; letters beyond ASCII
# have bytes of their own, since a number may follow one directly.
_BYTES = {"d": "01", "A": "A\xc0", "a": "a\xe0"}
_IN_WORD = "[01Aa_]"


def _outline_byte(code: int) -> int:
    symbol = _TO_SHAPE.get(code, chr(code))
    if symbol == "d":
        symbol = "0" if code == 0x30 else "1"
    elif code > 0x7F:
        symbol = _BYTES.get(symbol, symbol)[-1]
    return ord(symbol)


_OUTLINE = bytes(map(_outline_byte, range(256)))
# An outline's bytes -> symbols, all digits alike.
_SYMBOLS = bytes.maketrans(b"01\xc0\xe0", b"ddAa")


def outline_of(text: str) -> bytes:
    """A byte per character; one beyond Latin-1, which no shape has, is `?`."""
    return text.encode("latin-1", "replace").translate(_OUTLINE)


def _symbols(ranges: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """The symbols that a class can be; none for too many."""
    found = {s: None for s, low, high in _KINDS if any(a <= high and low <= b for a, b in ranges)}
    for low, high in ranges:
        if high > 0xFF:
            return ()
        found |= {chr(code): None for code in range(low, high + 1) if code not in _TO_SHAPE}
    return tuple(found) if len(found) <= _WIDEST else ()


def _first_digit(shape: str) -> int:
    """Where the first digit of a shape is, or -1."""
    return next((at for at, symbol in enumerate(shape) if symbol in _FIRST_DIGITS), -1)


class _TooMany(Exception):  # noqa: N818 - a signal inside this module
    """A pattern has more shapes than are worth trying."""


def shapes(node: Node) -> frozenset[str]:
    """Shapes of the beginnings of all matches, as long as there are not too many.

    Raises:
        ValueError: not every match has a digit near its beginning.
    """
    for size in _SIZES:
        try:
            going, full = _extend(node, frozenset(("",)), size)
        except _TooMany:
            continue
        found = going | full
        if len(found) <= _MOST_SHAPES and all(_first_digit(shape) >= 0 for shape in found):
            return found
    raise ValueError("a number has a digit near its beginning")


_Size = tuple[int, int]
_Reached = tuple[frozenset[str], frozenset[str]]


def _is_full(shape: str, size: _Size) -> bool:
    """Whether no more is kept of a shape."""
    first = _first_digit(shape)
    if first < 0:
        return len(shape) >= DEEPEST
    rest = shape[first + 1 :]
    return len(shape) >= size[0] or len(rest) - rest.count("d") >= size[1]


def _extend(node: Node, before: frozenset[str], size: _Size) -> _Reached:
    """Shapes that go on after `node`, and those that are full in it."""
    match node:
        case Boundary():
            return before, frozenset()
        case Chars(ranges):
            return _extend_chars(ranges, before, size)
        case Concat(items):
            done: frozenset[str] = frozenset()
            for item in items:
                before, full = _extend(item, before, size)
                done |= full
                if not before:
                    break
            return before, done
        case Alternation(options):
            reached = [_extend(option, before, size) for option in options]
            return (
                frozenset().union(*(going for going, _ in reached)),
                frozenset().union(*(full for _, full in reached)),
            )
        case Repeat():
            return _extend_repeat(node, before, size)


def _extend_chars(
    ranges: Sequence[tuple[int, int]], before: frozenset[str], size: _Size
) -> _Reached:
    symbols = _symbols(ranges)
    if not symbols:
        return frozenset(), before
    first = [
        symbol
        for symbol, low, high in (("0", 0x30, 0x30), ("1", 0x31, 0x39))
        if any(a <= high and low <= b for a, b in ranges)
    ]
    first += [symbol for symbol in symbols if symbol != "d"]
    longer = frozenset(
        shape + symbol
        for shape in before
        for symbol in (symbols if _first_digit(shape) >= 0 else first)
    )
    full = frozenset(shape for shape in longer if _is_full(shape, size))
    if len(longer) > _MOST_SHAPES:
        if any(_first_digit(shape) < 0 for shape in longer):
            raise ValueError("there are too many ways to come to the first digit")
        raise _TooMany
    return longer - full, full


def _extend_repeat(node: Repeat, before: frozenset[str], size: _Size) -> _Reached:
    reached = before if node.least == 0 else frozenset[str]()
    done: frozenset[str] = frozenset()
    # Rounds beyond the longest shape add nothing, unless they add no character either.
    for times in range(1, min(node.most, DEEPEST + 1) + 1):
        before, full = _extend(node.item, before, size)
        done |= full
        if times >= min(node.least, DEEPEST + 1):
            reached |= before
        if not before:
            break
    return reached, done


class _Entry(NamedTuple):
    """Where `re` begins to read shapes.

    Attributes:
        byte: at which it begins.
        before: characters of the shapes before it.
        search: finds the byte; the group of what it finds is the rest of the longest shape.
        bits: the rest of a shape, all digits alike -> bits of what fits.
    """

    byte: int
    before: int
    search: Callable[[bytes, int, int], re.Match[bytes] | None]
    bits: Mapping[bytes, int]


_Rests = Mapping[str, int]  # rest of a shape -> bits of what has it


class ShapeGate:
    """Finds the places of an outline where one of many things can match.

    Args:
        shaped: bit of a thing -> its shapes, each with a digit in it. No match may have a word
            character directly before it.

    Attributes:
        sets: all combinations of bits that are found at places.
    """

    def __init__(self, shaped: Mapping[int, frozenset[str]]) -> None:
        # Most shapes are read from their beginning, but small letters are everywhere.
        rests: dict[tuple[int, str], dict[str, int]] = {}
        before: dict[tuple[int, str], set[str]] = {}
        for bit, shapes_ in shaped.items():
            for shape in shapes_:
                at = _first_digit(shape) if shape[0] == "a" else 0
                key = at, shape[at]
                before.setdefault(key, set()).add(shape[:at])
                rest, found = shape[at + 1 :], rests.setdefault(key, {})
                found[rest] = found.get(rest, 0) | bit
        # (an alternation of them all takes `re` longer than one search after the other)
        self._entries = tuple(
            _entry(at, byte, sorted(before[at, symbol]), found)
            for (at, symbol), found in sorted(rests.items())
            for byte in _BYTES.get(symbol, symbol)
        )
        self.sets = frozenset(bits for entry in self._entries for bits in entry.bits.values())
        self._longest = max((len(s) for shapes_ in shaped.values() for s in shapes_), default=0)

    def places(self, outline: bytes, low: int, high: int) -> list[tuple[int, int]]:
        """Where a match may begin in `outline[low:high]`, from left to right; bits of what."""
        found: list[tuple[int, int]] = []
        end = high + self._longest
        small = b"a" in outline or b"\xe0" in outline  # shapes not read from their beginning
        for byte, before, search, bits in self._entries:
            if byte in outline and (small or not before):
                # (most often nothing is found: an iterator costs more than one search)
                hit = search(outline, low + before, end)
                while hit is not None:
                    place = hit.start()
                    if place - before < high:
                        found.append((place - before, bits[hit[1].translate(_SYMBOLS)]))
                    hit = search(outline, place + 1, end)
        found.sort()
        return found


def _entry(at: int, byte: str, before: Sequence[str], rests: _Rests) -> _Entry:
    own = re.escape(byte)
    looks = f"(?<!{_IN_WORD}{'.' * at}{own})"
    if at:
        behind = "|".join("".join(map(_symbol_source, lead)) + own for lead in before)
        # (most that come here have no small letter there)
        looks = f"(?<={_symbol_source(before[0][0])}{'.' * (at - 1)}{own})(?<={behind}){looks}"
    source = f"{own}{looks}(?=({trie_pattern(trie_of(rests), _symbol_source)}))"
    pattern = re.compile(source.encode("latin-1"), re.DOTALL)
    return _Entry(ord(byte), at, pattern.search, _bits(rests))


def _symbol_source(symbol: str) -> str:
    return f"[{_BYTES[symbol]}]" if symbol in _BYTES else re.escape(symbol)


def _bits(rests: _Rests) -> Mapping[bytes, int]:
    """Each rest, all digits alike, with the bits of all rests it begins with."""
    alike: dict[bytes, int] = {}
    for rest, bits in rests.items():
        key = rest.encode("latin-1").translate(_SYMBOLS)
        alike[key] = alike.get(key, 0) | bits
    return {
        rest: reduce(or_, (alike.get(rest[:size], 0) for size in range(len(rest) + 1)))
        for rest in alike
    }
