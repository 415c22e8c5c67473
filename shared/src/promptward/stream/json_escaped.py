"""A text channel whose text is JSON source: tool-call arguments, whole or streamed.

Strings are looked at in their unescaped form, piece by piece, and what was left alone keeps the
exact source it had. A replacement is JSON-escaped; one that stands outside any string (a bare
number) becomes a string. Nothing reaches across a structural quote, so the JSON stays JSON.

Invariants: the output does not depend on how the input is cut, in the middle of an escape or of a
surrogate pair included (RFC 8259 section 7). Source that is no valid JSON is carried through:
an unknown escape counts as the characters it is written with.
"""

from __future__ import annotations

import json
import re
from collections import deque

from promptward.operators.edits import Edit, EditingChannel
from promptward.recognizers.model import Match

_TOKEN = re.compile(
    r"""(?P<plain>[^"\\]+)|(?P<quote>")"""
    r"""|(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"""
    r"""|(?P<code>\\u[0-9a-fA-F]{4})|(?P<short>\\["\\/bfnrt])|(?P<bad>\\)"""
)
# An escape that more input may complete, or a high surrogate that may get its other half.
_OPEN_ESCAPE = re.compile(
    r"\\(?:u[0-9a-fA-F]{0,3})?\Z"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?\Z"
)
_LONGEST_ESCAPE = 12
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def transform_json_source(text: str, channel: EditingChannel) -> tuple[str, list[Match]]:
    """Run a fresh transformer over a whole text of JSON source.

    Returns:
        The new source and the matches, with offsets in the given source.
    """
    escaped = JsonEscapedChannel(channel)
    out = escaped.feed(text) + escaped.close()
    return out, escaped.matches


def unescaped_texts(source: str) -> list[tuple[int, str]]:
    """The texts that a transformer of this source sees, each with its offset in the channel.

    Texts are what stands between two structural quotes, so nothing reaches from one to the next.
    """
    reader = _Reader()
    transform_json_source(source, reader)
    return reader.texts


class _Reader:
    """A transformer that changes nothing and keeps what it was given."""

    pending = 0

    def __init__(self) -> None:
        self.texts: list[tuple[int, str]] = []
        self._open: list[str] = []
        self._at = 0

    def advance(self, text: str) -> list[Edit]:
        self._open.append(text)
        return [Edit(text)]

    def settle(self, separator: str = "") -> list[Edit]:
        text = "".join(self._open)
        self._open.clear()
        if text:
            self.texts.append((self._at, text))
        self._at += len(text) + len(separator)
        return []


class JsonEscapedChannel:
    """Runs a transformer over the unescaped text of a channel of JSON source.

    Args:
        channel: a fresh redactor or restorer; belongs to this wrapper from now on.

    Attributes:
        matches: what was recognised, with offsets in the JSON source.
    """

    def __init__(self, channel: EditingChannel) -> None:
        self._channel = channel
        self._tail = ""  # source of an escape that is not complete
        self._in_string = False
        self._read = 0  # unescaped characters given to the channel
        self._done = 0  # unescaped characters it has answered for
        self._source_at = 0  # offset in the source of the next character it will answer for
        self._escapes: deque[tuple[int, str]] = deque()  # (place, source) of unescaped characters
        self.matches: list[Match] = []

    @property
    def pending(self) -> int:
        """Characters held back, counted unescaped."""
        return self._channel.pending + len(self._tail)

    def feed(self, text: str) -> str:
        """Take more source; return what is certain.

        Raises:
            ExchangeError: whatever the channel raises.
        """
        source = self._tail + text
        at = self._open_escape(source)
        self._tail = source[at:]
        return self._consume(source[:at])

    def close(self) -> str:
        """The source ended; return the rest. Idempotent."""
        rest, self._tail = self._tail, ""
        return self._consume(rest) + self._write(self._channel.settle())

    @staticmethod
    def _open_escape(source: str) -> int:
        """Where an incomplete escape at the end begins; the length when there is none."""
        low = max(0, len(source) - _LONGEST_ESCAPE)
        at = source.find("\\", low)
        while at >= 0:
            run = at
            while run > 0 and source[run - 1] == "\\":
                run -= 1
            # A backslash that the one before it escapes starts nothing.
            if (at - run) % 2 == 0 and _OPEN_ESCAPE.match(source, at):
                return at
            at = source.find("\\", at + 1)
        return len(source)

    def _consume(self, source: str) -> str:
        out: list[str] = []
        plain: list[str] = []
        for found in _TOKEN.finditer(source):
            kind, token = found.lastgroup, found.group()
            if kind == "quote":
                out.append(self._push(plain))
                out.append(self._write(self._channel.settle('"')))
                out.append('"')
                self._source_at += 1
                self._in_string = not self._in_string
                continue
            if kind in ("plain", "bad") or not self._in_string:
                plain.append(token)
                self._read += len(token)
                continue
            plain.append(_unescape(token))
            self._escapes.append((self._read, token))
            self._read += 1
        out.append(self._push(plain))
        return "".join(out)

    def _push(self, plain: list[str]) -> str:
        text = "".join(plain)
        plain.clear()
        return self._write(self._channel.advance(text)) if text else ""

    def _write(self, edits: list[Edit]) -> str:
        out: list[str] = []
        for edit in edits:
            source = self._source_of(edit.text)
            start = self._source_at
            self._source_at += len(source)
            if edit.match is not None:
                m = edit.match
                moved = Match(m.entity, start, self._source_at, m.score, m.recognizer)
                self.matches.append(moved)
            if edit.replacement is None:
                out.append(source)
            else:
                out.append(_escape(edit.replacement, quoted=not self._in_string))
        return "".join(out)

    def _source_of(self, text: str) -> str:
        """The source the next `len(text)` unescaped characters were written with."""
        start, end = self._done, self._done + len(text)
        self._done = end
        if not self._escapes or self._escapes[0][0] >= end:
            return text
        parts: list[str] = []
        while self._escapes and self._escapes[0][0] < end:
            place, source = self._escapes.popleft()
            parts += (text[start - end + len(text) : place - end + len(text)], source)
            start = place + 1
        parts.append(text[start - end + len(text) :])
        return "".join(parts)


def _unescape(token: str) -> str:
    """The one character that an escape stands for."""
    if token[1] != "u":
        return _SHORT.get(token[1], token[1])
    high = int(token[2:6], 16)
    if len(token) == 6:
        return chr(high)
    return chr(0x10000 + ((high - 0xD800) << 10) + (int(token[8:12], 16) - 0xDC00))


def _escape(value: str, *, quoted: bool) -> str:
    """`value` as JSON string source (RFC 8259 section 7), with quotes when asked for."""
    # A lone surrogate cannot be encoded as UTF-8; as an escape it can travel.
    plain = not any("\ud800" <= char <= "\udfff" for char in value)
    source = json.dumps(value, ensure_ascii=not plain)
    return source if quoted else source[1:-1]
