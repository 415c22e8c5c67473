"""Why and where a JSON text was refused: the slow path of `jsonstrict`, taken only on a refusal.

Invariants: the same text gives the same message on every interpreter (the standard library's
messages and positions changed in CPython 3.13); nothing is quoted; at most `MAX_TOKENS` tokens are
read, so that a refusal cannot cost much more than an acceptance; no recursion.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from json import JSONDecoder

from promptward.errors import ExchangeError

# RFC 8259 section 6 advises IEEE 754 binary64; 2^64 has 20 digits, and a sign. Longer integers
# are read differently by different upstreams, and int() of very long ones is refused by CPython.
MAX_INTEGER_DIGITS = 21
MAX_TOKENS = 20_000  # our choice: about 20 ms of CPython; behind it no place is given

# One token that is not a string, behind white space (RFC 8259 sections 2 to 6).
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)")
_CONSTANT = re.compile(r"-?Infinity|NaN")
_WORD = re.compile(r"true|false|null")
_STRINGS = JSONDecoder()  # its raw_decode at a double quote reads one string and no more

_VALUE = "a value"
_VALUE_OR_END = "a value or ']'"
_KEY = "a key in double quotes"
_KEY_OR_END = "a key in double quotes or '}'"
_COLON = "':'"
_IN_ARRAY = "',' or ']'"
_IN_OBJECT = "',' or '}'"
_NOTHING = "the end of the text"
_VALUES = (_VALUE, _VALUE_OR_END)
_KEYS = (_KEY, _KEY_OR_END)

_MESSAGES = {
    "empty_body": "the body is empty",
    "duplicate_key": "the body holds an object that names a key twice",
    "number_out_of_range": "the body holds a number that is too large",
    "not_a_number": "the body holds NaN or Infinity, which JSON does not have",
    "invalid_json": "the body is not valid JSON",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A refusal.

    Attributes:
        code: key of `_MESSAGES`.
        offset: byte offset, or None when it lies behind `MAX_TOKENS`.
        line, column: one-based, the column in code points.
        detail: what was expected there; empty when the code says it all.
    """

    code: str
    offset: int | None = None
    line: int = 0
    column: int = 0
    detail: str = ""


def describe(fault: Fault) -> ExchangeError:
    """The error a client is told."""
    message = _MESSAGES[fault.code]
    if fault.detail:
        message += f": expected {fault.detail}"
    if fault.offset is not None:
        message += f" at line {fault.line}, column {fault.column} (byte {fault.offset})"
    return ExchangeError(fault.code, message)


class _FoundError(Exception):
    def __init__(self, code: str, position: int, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.position = position
        self.detail = detail


@dataclass(slots=True)
class _Reader:
    """A push-down automaton over tokens: `expected` is its state, `stack` the open containers."""

    text: str
    position: int = 0
    stack: list[set[str] | None] = field(default_factory=list)  # an object's keys; None: an array
    expected: str = _VALUE

    def step(self) -> None:
        """Read one token.

        Raises:
            _FoundError: it does not belong there.
        """
        space = _SPACE.match(self.text, self.position)
        self.position = start = space.end() if space else self.position
        mark = self.text[start : start + 1]
        if mark == '"':
            self._string(start)
        elif mark and mark in "[]{},:":
            self.position = start + 1
            if not (self._opens(mark) or self._closes(mark) or self._separates(mark)):
                raise _FoundError("invalid_json", start, self.expected)
        elif self.expected in _VALUES:
            self._scalar(start)
        else:
            raise _FoundError("invalid_json", start, self.expected)

    def _after_value(self) -> None:
        if not self.stack:
            self.expected = _NOTHING
        else:
            self.expected = _IN_ARRAY if self.stack[-1] is None else _IN_OBJECT

    def _string(self, start: int) -> None:
        if self.expected not in _VALUES and self.expected not in _KEYS:
            raise _FoundError("invalid_json", start, self.expected)
        try:
            value, self.position = _STRINGS.raw_decode(self.text, start)
        except ValueError:
            raise _FoundError("invalid_json", start, "a complete string") from None
        keys = self.stack[-1] if self.stack else None
        if self.expected in _VALUES or keys is None:
            self._after_value()
            return
        if value in keys:
            raise _FoundError("duplicate_key", start)
        keys.add(value)
        self.expected = _COLON

    def _opens(self, mark: str) -> bool:
        if mark not in "[{" or self.expected not in _VALUES:
            return False
        self.stack.append(None if mark == "[" else set())
        self.expected = _VALUE_OR_END if mark == "[" else _KEY_OR_END
        return True

    def _closes(self, mark: str) -> bool:
        if self.expected not in {
            "]": (_VALUE_OR_END, _IN_ARRAY),
            "}": (_KEY_OR_END, _IN_OBJECT),
        }.get(mark, ()):
            return False
        self.stack.pop()
        self._after_value()
        return True

    def _separates(self, mark: str) -> bool:
        following = {
            (",", _IN_ARRAY): _VALUE,
            (",", _IN_OBJECT): _KEY,
            (":", _COLON): _VALUE,
        }.get((mark, self.expected))
        if following is None:
            return False
        self.expected = following
        return True

    def _scalar(self, start: int) -> None:
        if number := _NUMBER.match(self.text, start):
            digits = number[0]
            if math.isinf(float(digits)) if number[1] else len(digits) > MAX_INTEGER_DIGITS:
                raise _FoundError("number_out_of_range", start)
            self.position = number.end()
        elif word := _WORD.match(self.text, start):
            self.position = word.end()
        elif _CONSTANT.match(self.text, start):
            raise _FoundError("not_a_number", start)
        else:
            raise _FoundError("invalid_json", start, self.expected)
        self._after_value()


def locate(text: str) -> Fault:
    """What is wrong with a text that the scanner refused.

    Args:
        text: the whole body; its depth is already known to be bounded.
    """
    if not text.strip(" \t\n\r"):
        return Fault("empty_body")
    reader = _Reader(text)
    try:
        for _ in range(MAX_TOKENS):
            reader.step()
    except _FoundError as found:
        return _placed(text, found)
    return Fault("invalid_json")


def _placed(text: str, found: _FoundError) -> Fault:
    before = text[: found.position]
    line_start = before.rfind("\n") + 1
    return Fault(
        found.code,
        offset=len(before.encode("utf-8")),
        line=before.count("\n") + 1,
        column=found.position - line_start + 1,
        detail=found.detail,
    )
