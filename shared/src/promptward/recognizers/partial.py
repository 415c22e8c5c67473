"""Viable prefixes: could the text so far be the beginning of a match?

For a pattern P this derives a pattern that matches every *non-empty prefix of a string in P's
language* which reaches the end of the buffer. A stream may release text up to a place only if no
such prefix begins before it; that is what makes "whole text" and "one character at a time" agree.

Derivation, with P' the prefixes of P (the empty and the complete one included), each used only
where the end of the buffer follows:

    character class   C'        = C?
    r1 r2 … rn        (r1…rn)'  = r1 (r2…rn)' | r1'
    a | b             (a|b)'    = a' | b'
    r{m,n}            r{m,n}'   = r{0,n-1} r'
    \\b                \\b'       = (empty): what follows the buffer decides, so it may hold

This is the derivative-free form of the prefix closure of a regular language (Hopcroft, Motwani,
Ullman, *Introduction to Automata Theory*, closure properties).
"""

from __future__ import annotations

from promptward.recognizers.syntax import (
    Alternation,
    Boundary,
    Chars,
    Concat,
    Node,
    Repeat,
    chars_source,
    merge,
    min_length,
    repeat_suffix,
    to_source,
)

_HEAD = 4  # characters of a head; most texts fail at the second or third
_Ranges = list[tuple[int, int]]


def head_source(node: Node) -> str:
    """Python `re` source of a quick test for a non-empty prefix of `node` that reaches the end.

    Place by place, the classes of all characters that matches have there, as far as every match
    reaches: it accepts more than the prefixes do, and says no after a character or two.
    """
    source = ""
    for chars in reversed(head_classes(node)):
        source = chars + (f"(?:{source}|\\Z)" if source else "")
    return source


def head_classes(node: Node) -> list[str]:
    """Place by place, the class of all characters that matches have there, for the first few."""
    classes: list[_Ranges] = [[] for _ in range(min(_HEAD, min_length(node)))]
    if classes:
        _collect(node, frozenset((0,)), classes)
    return [chars_source(merge(ranges)) for ranges in classes]


def _collect(node: Node, at: frozenset[int], classes: list[_Ranges]) -> frozenset[int]:
    """Add the characters of `node` beginning at the places; the places after it."""
    match node:
        case Chars(ranges):
            for place in at:
                classes[place].extend(ranges)
            return frozenset(place + 1 for place in at if place + 1 < len(classes))
        case Boundary():
            return at
        case Concat(items):
            for item in items:
                at = _collect(item, at, classes) if at else at
            return at
        case Alternation(options):
            return frozenset().union(*(_collect(option, at, classes) for option in options))
        case Repeat(item, least, most, _):
            after = at if least == 0 else frozenset[int]()
            for times in range(1, min(most, _HEAD + least) + 1):
                at = _collect(item, at, classes) if at else at
                after |= at if times >= least else frozenset()
            return after


def prefix_source(node: Node) -> str:
    """Python `re` source of the prefixes of `node`; to be followed by `\\Z`."""
    match node:
        case Chars():
            return to_source(node) + "?"
        case Boundary():
            return ""
        case Concat(items):
            return _concat(items)
        case Alternation(options):
            return f"(?:{'|'.join(map(prefix_source, options))})"
        case Repeat(item, _, most, _):
            return _repeat(item, most)


def _repeat(item: Node, most: int) -> str:
    if isinstance(item, Chars):
        return to_source(item) + repeat_suffix(0, most)
    tail = prefix_source(item)
    if most == 1:
        return f"(?:{tail})?"
    return f"(?:{to_source(item)}){repeat_suffix(0, most - 1)}(?:{tail})"


def _concat(items: tuple[Node, ...]) -> str:
    """Nested from the right, so that the source stays linear in the pattern's."""
    result = ""
    for item in reversed(items):
        prefix = prefix_source(item)
        result = f"(?:{to_source(item)}{result}|{prefix})" if result else prefix
    return result
