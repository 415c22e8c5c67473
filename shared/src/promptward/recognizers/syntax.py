"""The pattern language of recognizers: a bounded subset of RE2's syntax, parsed by us.

Why a parser of our own: the same tree gives the exact length bound, the set of first characters,
the *viable prefix* pattern that makes streaming possible (`partial.py`) and lint messages; and it
does not depend on a private module of one Python build (the core also runs on Pyodide).

Invariants: every repeat has an upper bound, so every match has a known maximal length; no
lookaround, no back-references (RE2 has neither); classes are ASCII like RE2's (`\\d` is `[0-9]`);
no anchors to the start or end of the text, because a stream has no such places until it ends.

Source of the syntax: https://github.com/google/re2/wiki/Syntax
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptward.errors import PolicyError

MAX_REPEAT = 20_000  # longest repeat any built-in pattern uses (a PEM body), with room
_MAX_CODE = 0x10FFFF
_META = frozenset("\\.+*?()[]{}^$|")


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of a set of code point ranges."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Boundary:
    """`\\b` (ASCII word boundary) or `\\B`."""

    negated: bool


@dataclass(frozen=True, slots=True)
class Concat:
    """One after the other; empty matches the empty string."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternation:
    """The first alternative that leads to a match."""

    options: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`least`..`most` times; `lazy` prefers fewer."""

    item: Node
    least: int
    most: int
    lazy: bool


Node = Chars | Boundary | Concat | Alternation | Repeat

_DIGIT = ((0x30, 0x39),)
_WORD = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE = ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20))  # RE2's \s has no vertical tab
_CLASSES = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS = {"n": 0x0A, "t": 0x09, "r": 0x0D, "f": 0x0C, "v": 0x0B, "a": 0x07}


def invert(ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The complement of sorted, merged ranges."""
    result, at = [], 0
    for low, high in ranges:
        if low > at:
            result.append((at, low - 1))
        at = high + 1
    if at <= _MAX_CODE:
        result.append((at, _MAX_CODE))
    return tuple(result)


def merge(ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Sorted ranges without overlap or adjacency."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if result and low <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], high))
        else:
            result.append((low, high))
    return tuple(result)


def fold(ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ranges with the other case of every ASCII letter in them added."""
    extra = []
    for low, high in ranges:
        for first, last, shift in ((0x41, 0x5A, 32), (0x61, 0x7A, -32)):
            start, end = max(low, first), min(high, last)
            if start <= end:
                extra.append((start + shift, end + shift))
    return merge([*ranges, *extra])


class _Parser:
    """Recursive descent over one pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.ignore_case = False

    def fail(self, why: str) -> PolicyError:
        return PolicyError(f"pattern {self.pattern!r}, column {self.at + 1}: {why}")

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self, text: str) -> bool:
        if self.pattern.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def parse(self) -> Node:
        self.ignore_case = self.take("(?i)")
        node = self.alternation()
        if self.peek():
            raise self.fail("unbalanced ')'")
        return node

    def alternation(self) -> Node:
        options = [self.concat()]
        while self.take("|"):
            options.append(self.concat())
        return options[0] if len(options) == 1 else Alternation(tuple(options))

    def concat(self) -> Node:
        items: list[Node] = []
        while self.peek() not in ("", "|", ")"):
            items.append(self.quantified(self.atom()))
        return items[0] if len(items) == 1 else Concat(tuple(items))

    def atom(self) -> Node:
        char = self.peek()
        if char == "(":
            return self.group()
        if char == "[":
            return self.char_class()
        if char == "\\":
            return self.escape()
        self.at += 1
        if char == ".":
            return Chars(invert(((0x0A, 0x0A),)))
        if char in "^$":
            raise self.fail(
                f"{char!r} is not supported: matches are looked for anywhere in a text or stream"
            )
        if char in "*+?{":
            raise self.fail(f"nothing to repeat before {char!r}")
        return self.literal(ord(char))

    def literal(self, code: int) -> Chars:
        single = ((code, code),)
        return Chars(fold(single) if self.ignore_case else single)

    def group(self) -> Node:
        self.at += 1
        if self.take("?:") or not self.take("?"):
            node = self.alternation()
            if not self.take(")"):
                raise self.fail("missing ')'")
            return node
        raise self.fail(
            "only plain and (?:...) groups; lookaround, names and flags inside are not "
            "supported, a leading (?i) is"
        )

    def quantified(self, item: Node) -> Node:
        char = self.peek()
        if char in ("*", "+"):
            raise self.fail(f"{char!r} has no upper bound: write {{0,64}} or {{1,64}} instead")
        if char == "?":
            self.at += 1
            return self._repeat(item, 0, 1)
        if char == "{":
            least, most = self._counts()
            return self._repeat(item, least, most)
        return item

    def _repeat(self, item: Node, least: int, most: int) -> Node:
        if isinstance(item, Boundary):
            raise self.fail("\\b cannot be repeated")
        lazy = self.take("?")
        if self.peek() in ("*", "+", "?", "{"):
            raise self.fail("a repeat of a repeat: put the inner one into (?:...)")
        return Repeat(item, least, most, lazy)

    def _counts(self) -> tuple[int, int]:
        end = self.pattern.find("}", self.at)
        low, comma, high = self.pattern[self.at + 1 : max(end, self.at)].partition(",")
        if end < 0 or not low.isascii() or not low.isdigit():
            raise self.fail("a repeat is {n} or {n,m}; a literal brace is written \\{")
        if comma and not (high.isascii() and high.isdigit()):
            raise self.fail("{n,} has no upper bound: write {n,m}")
        least = int(low)
        most = int(high) if comma else least
        if most < least or most > MAX_REPEAT or most == 0:
            raise self.fail(f"a repeat needs n <= m and 1 <= m <= {MAX_REPEAT}")
        self.at = end + 1
        return least, most

    def escape(self) -> Node:
        self.at += 1
        char = self.peek()
        if char and char in "bB":
            self.at += 1
            return Boundary(char == "B")
        ranges = self._escaped_ranges()
        return Chars(fold(ranges) if self.ignore_case else ranges)

    def _escaped_ranges(self) -> tuple[tuple[int, int], ...]:
        """The set named by the escape whose backslash was just read."""
        char = self.peek()
        self.at += 1
        if not char:
            raise self.fail("a backslash at the end")
        if char.lower() in _CLASSES:
            ranges = _CLASSES[char.lower()]
            return invert(ranges) if char.isupper() else ranges
        if char in _CONTROLS:
            return ((_CONTROLS[char], _CONTROLS[char]),)
        if char == "x":
            code = self._hex()
            return ((code, code),)
        if char.isascii() and char.isalnum():
            raise self.fail(f"\\{char} is not supported (no back-references, no Unicode classes)")
        return ((ord(char), ord(char)),)

    def _hex(self) -> int:
        if self.take("{"):
            end = self.pattern.find("}", self.at)
            digits, after = self.pattern[self.at : max(end, self.at)], end + 1
        else:
            digits, after = self.pattern[self.at : self.at + 2], self.at + 2
        try:
            code = int(digits, 16)
        except ValueError:
            raise self.fail("\\x takes two hexadecimal digits or {…}") from None
        if code > _MAX_CODE or len(digits) < 2:
            raise self.fail("\\x takes two hexadecimal digits or {…}")
        self.at = after
        return code

    def char_class(self) -> Node:
        self.at += 1
        negated = self.take("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self.peek() != "]":
            first = False
            if not self.peek():
                raise self.fail("missing ']'")
            if self.pattern.startswith("[:", self.at):
                raise self.fail("POSIX classes are not supported: write the ranges")
            ranges.extend(self._class_item())
        self.at += 1
        merged = merge(ranges)
        if self.ignore_case:
            merged = fold(merged)
        return Chars(invert(merged) if negated else merged)

    def _class_item(self) -> tuple[tuple[int, int], ...]:
        low = self._class_char()
        if len(low) != 1 or low[0][0] != low[0][1] or self.peek() != "-":
            return low
        if self.pattern[self.at + 1 : self.at + 2] in ("]", ""):
            return low
        self.at += 1
        high = self._class_char()
        if len(high) != 1 or high[0][0] != high[0][1] or high[0][0] < low[0][0]:
            raise self.fail("a range in a class is wrong")
        return ((low[0][0], high[0][0]),)

    def _class_char(self) -> tuple[tuple[int, int], ...]:
        char = self.peek()
        self.at += 1
        if char == "\\":
            if self.peek() == "b":
                raise self.fail("\\b inside a class is not supported")
            return self._escaped_ranges()
        return ((ord(char), ord(char)),)


def parse(pattern: str) -> Node:
    """Parse `pattern`.

    Raises:
        PolicyError: naming the column, what is wrong and what to write instead.
    """
    return _Parser(pattern).parse()


def max_length(node: Node) -> int:
    """Characters in the longest match."""
    match node:
        case Chars():
            return 1
        case Boundary():
            return 0
        case Concat(items):
            return sum(map(max_length, items))
        case Alternation(options):
            return max(map(max_length, options))
        case Repeat(item, _, most, _):
            return most * max_length(item)


def min_length(node: Node) -> int:
    """Characters in the shortest match."""
    match node:
        case Chars():
            return 1
        case Boundary():
            return 0
        case Concat(items):
            return sum(map(min_length, items))
        case Alternation(options):
            return min(map(min_length, options))
        case Repeat(item, least, _, _):
            return least * min_length(item)


def first_chars(node: Node) -> tuple[tuple[int, int], ...]:
    """Ranges of the characters a non-empty match can start with (a superset)."""
    match node:
        case Chars(ranges):
            return ranges
        case Boundary():
            return ()
        case Concat(items):
            found: list[tuple[int, int]] = []
            for item in items:
                found.extend(first_chars(item))
                if min_length(item) > 0:
                    break
            return merge(found)
        case Alternation(options):
            return merge([r for option in options for r in first_chars(option)])
        case Repeat(item, _, _, _):
            return first_chars(item)


def reverse(node: Node) -> Node:
    """What matches the same strings written backwards."""
    match node:
        case Concat(items):
            return Concat(tuple(map(reverse, reversed(items))))
        case Alternation(options):
            return Alternation(tuple(map(reverse, options)))
        case Repeat(item, least, most, lazy):
            return Repeat(reverse(item), least, most, lazy)
        case _:
            return node


def _class_code(code: int) -> str:
    char = chr(code)
    if char.isascii() and char.isalnum():
        return char
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else char


def chars_source(ranges: Sequence[tuple[int, int]]) -> str:
    """Python `re` source of a set of characters."""
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        code = ranges[0][0]
        return f"\\{chr(code)}" if chr(code) in _META else _class_code(code)
    if not ranges:
        return "[^\\x00-\\U0010ffff]"
    parts = [
        _class_code(low) if low == high else f"{_class_code(low)}-{_class_code(high)}"
        for low, high in ranges
    ]
    return f"[{''.join(parts)}]"


def to_source(node: Node) -> str:
    """Python `re` source with the meaning RE2 gives the pattern (compile with `re.ASCII`)."""
    match node:
        case Chars(ranges):
            return chars_source(ranges)
        case Boundary(negated):
            return "\\B" if negated else "\\b"
        case Concat(items):
            return "".join(map(to_source, items))
        case Alternation(options):
            return f"(?:{'|'.join(map(to_source, options))})"
        case Repeat(item, least, most, lazy):
            inner = to_source(item)
            if not isinstance(item, Chars):
                inner = f"(?:{inner})"
            return inner + repeat_suffix(least, most) + ("?" if lazy else "")


def repeat_suffix(least: int, most: int) -> str:
    """The quantifier, without laziness."""
    if (least, most) == (0, 1):
        return "?"
    return f"{{{least}}}" if least == most else f"{{{least},{most}}}"
