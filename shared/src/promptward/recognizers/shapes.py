"""Shapes: what the beginnings of a number's matches look like, as one pattern run inside `re`.

A shape is a text with every capital written `A`, every small letter `a` (Latin-1), the first digit
`0` or `1` (for any other), every later digit `d`, and all else as it is. The first characters of
all matches of many recognizers have few shapes; a trie of them, entered at the first digit of a
match, passes over the numbers of a text that fit no recognizer about ten times as fast as trying
each recognizer from Python.

Invariant: a place where a recognizer matches has one of the recognizer's shapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from promptward.recognizers.syntax import (
    Alternation,
    Boundary,
    Chars,
    Concat,
    Node,
    Repeat,
)
from promptward.recognizers.tries import trie_of, trie_pattern

T = TypeVar("T")

# How much of a shape is kept, the most telling first: characters, and how many of those after the
# first digit may be no digits. The first size with few enough shapes is taken.
_SIZES = ((12, 6), (12, 3), (8, 4), (6, 6), (5, 5), (4, 4), (3, 3), (2, 2))
_MOST_SHAPES = 160
DEEPEST = 16  # characters of a shape that needs more of them to get to a digit
_CLASSES = {"d": "[0-9]", "A": "[A-Z\xc0-\xde]", "a": "[a-z\xdf-\xff]"}
_KINDS = (
    ("d", 0x30, 0x39),
    ("A", 0x41, 0x5A),
    ("A", 0xC0, 0xDE),
    ("a", 0x61, 0x7A),
    ("a", 0xDF, 0xFF),
)
_WIDEST = 24  # symbols one place may have; a wider one ends the shape
_TO_SHAPE = {code: symbol for symbol, low, high in _KINDS for code in range(low, high + 1)}
_FIRST_DIGITS = {"0": "0", "1": "[1-9]"}


def shape_of(text: str) -> str:
    """The shape of a text that begins with a digit."""
    return ("0" if text[0] == "0" else "1") + text[1:].translate(_TO_SHAPE)


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


def _symbol_source(symbol: str) -> str:
    return _CLASSES.get(symbol) or re.escape(symbol)


class _Lead(NamedTuple, Generic[T]):
    """Shapes that have the same characters before their first digit.

    Attributes:
        length: of those characters.
        pattern: matches the longest shape from its first digit on.
        things: shape from the first digit on -> what fits.
    """

    length: int
    pattern: re.Pattern[str]
    things: Mapping[str, tuple[T, ...]]


_Rests = Mapping[str, Mapping[T, None]]


class ShapeGate(Generic[T]):
    """Finds the places of a text where one of many things can match.

    Args:
        shaped: thing -> its shapes, each with a digit in it. No match may have a word character
            directly before it.
    """

    def __init__(self, shaped: Mapping[T, frozenset[str]]) -> None:
        by_lead: dict[str, dict[str, dict[T, None]]] = {}
        for thing, shapes_ in shaped.items():
            for shape in shapes_:
                at = _first_digit(shape)
                rests = by_lead.setdefault(shape[:at], {})
                rests.setdefault(shape[at:], {})[thing] = None
        made = {
            lead: _Lead(len(lead), _lead_pattern(lead, rests), _things(rests))
            for lead, rests in by_lead.items()
        }
        self._plain = tuple(lead for lead in made.values() if not lead.length)
        self._leads = dict(_by_char_before(made, self._plain))
        self._entry = re.compile(_entry_source(by_lead)) if shaped else None

    def places(self, text: str, low: int, high: int) -> Iterator[tuple[int, tuple[T, ...]]]:
        """Where a match may begin before a digit in `text[low:high]`, and of what."""
        if self._entry is None:
            return
        by_char, plain = self._leads, self._plain
        for hit in self._entry.finditer(text, low, high):
            digit = hit.start()
            leads = by_char.get(text[digit - 1], plain) if digit else plain
            for length, pattern, things in leads:
                found = pattern.match(text, digit)
                if found is not None:
                    yield digit - length, things[shape_of(found.group())]


def _by_char_before(
    made: Mapping[str, _Lead[T]], plain: tuple[_Lead[T], ...]
) -> Iterator[tuple[str, tuple[_Lead[T], ...]]]:
    """A character before the first digit -> leads, the longest first: their places come first."""
    for char in {*map(chr, _TO_SHAPE), "_", *(lead[-1] for lead in made if lead)}:
        symbol = _TO_SHAPE.get(ord(char), char)
        leads = [made[lead] for lead in made if lead[-1:] == symbol]
        leads.sort(key=lambda lead: -lead.length)
        is_word = char.isascii() and (char.isalnum() or char == "_")
        yield char, tuple(leads) if is_word else (*leads, *plain)


def _behind(lead: str) -> str:
    """A look behind a digit just read: the lead, and no word before it."""
    return f"(?<=(?<![0-9A-Za-z_]){''.join(map(_symbol_source, lead))}[0-9])"


def _entry_source(by_lead: Mapping[str, Iterable[str]]) -> str:
    """`re` skips to a class quickly, so a digit comes first; most stand behind another digit."""
    by_digit: dict[str, dict[str, list[str]]] = {}
    for lead, rests in by_lead.items():
        for rest in rests:
            by_digit.setdefault(rest[0], {}).setdefault(lead, []).append(rest[1:])
    options = [
        f"(?<={_FIRST_DIGITS[digit]})(?:{'|'.join(_beginnings(leads))})"
        for digit, leads in sorted(by_digit.items())
    ]
    return f"[0-9](?<![0-9][0-9])(?={'|'.join(options)})"


def _beginnings(leads: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Patterns behind a digit: what is before it, then a trie of what comes after it."""
    by_last: dict[str, list[str]] = {}
    for lead, rests in leads.items():
        rest = trie_pattern(trie_of(rests), _symbol_source, whole=False)
        by_last.setdefault(lead[-1:], []).append(_behind(lead) + rest)
    for last, sources in sorted(by_last.items()):
        joined = "|".join(sources)
        yield f"(?<={_symbol_source(last)}[0-9])(?:{joined})" if last else joined


def _lead_pattern(lead: str, rests: Iterable[str]) -> re.Pattern[str]:
    by_digit: dict[str, list[str]] = {}
    for rest in rests:
        by_digit.setdefault(rest[0], []).append(rest[1:])
    return re.compile(
        "|".join(
            _FIRST_DIGITS[digit] + _behind(lead) + trie_pattern(trie_of(tails), _symbol_source)
            for digit, tails in sorted(by_digit.items())
        )
    )


def _things(rests: _Rests[T]) -> Mapping[str, tuple[T, ...]]:
    """Each shape with the things of all shapes it begins with."""
    return {
        shape: tuple(
            dict.fromkeys(
                thing for size in range(1, len(shape) + 1) for thing in rests.get(shape[:size], ())
            )
        )
        for shape in rests
    }
