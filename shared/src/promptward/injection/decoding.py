"""Decoders: text hidden in base64, base32, hex, binary, code numbers, Morse or escapes.

Every decoder finds candidates with one linear pattern behind a cheap gate, and keeps a result only
if it reads as text. Sources: RFC 4648 (base16, 32, 64), RFC 3986 (percent), HTML 4 and 5
(entities), ECMA-404 (\\u escapes), ITU-R M.1677 (Morse).
Invariants: linear time; whoever calls bounds depth and total output.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator, Sequence
from string import ascii_letters, ascii_uppercase

from promptward.injection.origins import Pieced
from promptward.injection.stretches import Stretches, matches_in

MIN_PAYLOAD = 6  # characters: shorter results are chance
UNREADABLE_SHARE = 0.1  # of a decoded payload that may be controls or unassigned
# Controls, surrogates, private use: listed, since interpreters disagree on what is printable.
_UNREADABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff\U000f0000-\U0010ffff]"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}(?:[\r\n]{1,2}[A-Za-z0-9+/_-]{8,})*={0,2}")
_BASE32 = re.compile(r"\b[A-Z2-7]{16,}={0,6}")
_HEX = re.compile(r"(?:0x)?(?:[0-9A-Fa-f]{2}[ :,-]?(?:0x)?){8,}")
_BINARY = re.compile(r"(?:[01]{7,8}[ ,]?){6,}")
_DECIMAL = re.compile(r"(?:\b\d{2,3}[ ,;]{1,2}){6,}\d{2,3}\b")
_MORSE = re.compile(r"(?:[.\-–·]{1,6}[ /|]{1,3}){8,}[.\-–·]{1,6}")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,24});")
_ESCAPE = re.compile(r"\\u\{[0-9A-Fa-f]{1,6}\}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\[0-3][0-7]{2}")
_MORSE_CODE = {
    ".-": "a", "-...": "b", "-.-.": "c", "-..": "d", ".": "e", "..-.": "f", "--.": "g",
    "....": "h", "..": "i", ".---": "j", "-.-": "k", ".-..": "l", "--": "m", "-.": "n",
    "---": "o", ".--.": "p", "--.-": "q", ".-.": "r", "...": "s", "-": "t", "..-": "u",
    "...-": "v", ".--": "w", "-..-": "x", "-.--": "y", "--..": "z", ".-.-.-": ".",
    "--..--": ",", "-----": "0", ".----": "1", "..---": "2", "...--": "3", "....-": "4",
    ".....": "5", "-....": "6", "--...": "7", "---..": "8", "----.": "9",
}  # fmt: skip

Payload = tuple[int, int, str]


def as_text(data: bytes) -> str | None:
    """`data` as text if it reads as text: UTF-8, or UTF-16 (as PowerShell encodes), printable."""
    # most of what is tried is not UTF-8, and ends here
    encoding = "utf-16-le" if len(data) > 3 and not any(data[1:8:2]) else "utf-8"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    if len(text) < MIN_PAYLOAD:
        return None
    unreadable = sum(1 for _ in _UNREADABLE.finditer(text))
    return text if unreadable <= UNREADABLE_SHARE * len(text) else None


_STANDARD_BASE64 = bytes.maketrans(b"-_", b"+/")


def _base64(blob: str) -> bytes:
    joined = blob.encode().translate(_STANDARD_BASE64, b"\r\n").rstrip(b"=")
    return binascii.a2b_base64(joined[: len(joined) - (len(joined) % 4 == 1)] + b"==")


def _base32(blob: str) -> bytes:
    joined = blob.rstrip("=")
    joined = joined[: len(joined) - len(joined) % 8 + {0: 0, 2: 2, 4: 4, 5: 5, 7: 7}.get(
        len(joined) % 8, 0)]  # fmt: skip
    return base64.b32decode(joined + "=" * (-len(joined) % 8))


def _hex(blob: str) -> bytes:
    digits = re.sub(r"0x|[ :,-]", "", blob)
    return bytes.fromhex(digits[: len(digits) // 2 * 2])


def _binary(blob: str) -> bytes:
    groups = re.split(r"[ ,]+", blob.strip(" ,"))
    if len(groups) == 1:
        groups = [blob[i : i + 8] for i in range(0, len(blob) // 8 * 8, 8)]
    return bytes(int(group, 2) & 0xFF for group in groups if group)


def _decimal(blob: str) -> bytes:
    numbers = [int(n) for n in re.split(r"[ ,;]+", blob)]
    return bytes(numbers) if all(9 <= n < 127 for n in numbers) else b""


def _morse(blob: str) -> bytes:
    plain = blob.replace("–", "-").replace("·", ".")
    parts = re.split(r"([ /|]+)", plain)
    out = [
        (" " if len(part) > 1 or "/" in part or "|" in part else "")
        if index % 2
        else _MORSE_CODE.get(part, "?")
        for index, part in enumerate(parts)
    ]
    return "".join(out).encode()


_HEX_PAIRS = frozenset(f"{n:02x}" for n in range(0x20, 0x7F))
_CODE_NUMBERS = frozenset(str(n) for n in range(97, 123))
LONG_WORD, LONG_PLAIN_WORD = 15, 24  # letters of a word that may be base64, with and without digits


def numbers_among(odd: frozenset[str]) -> list[str]:
    """Those of some words that are not made of letters alone."""
    return [] if "".join(odd).isalpha() else [word for word in odd if not word.isalpha()]


def _encodings(text: str, odd: frozenset[str], numbers: Sequence[str]) -> set[str]:
    """The encodings worth trying on a text, judged by its words that are no known words.

    No known word is made of digits (tested), so what is written in digits is among the others.
    """
    out: set[str] = set()
    if max(map(len, odd), default=0) >= LONG_PLAIN_WORD or (
        numbers and max(map(len, numbers)) >= LONG_WORD
    ):
        out = {"base64", "base32", "hex"}
    if numbers:
        joined = " ".join(numbers)
        if len(odd & _HEX_PAIRS) >= 4 or ("0x" in joined and "0x" in text):
            out.add("hex")
        if len(odd & _CODE_NUMBERS) >= 4:
            out.add("decimal")
        if "011" in joined and ("0110" in text or "0111" in text):
            out.add("binary")
    if "-" in text and "-." in text and ".-" in text:  # one character is found far quicker
        out.add("morse")
    return out


_DIGITS = "0123456789"
# (encoding, its pattern, the stretches of text where that may match, decoder)
_BLOBS: tuple[tuple[str, re.Pattern[str], Stretches, Callable[[str], bytes]], ...] = (
    ("base64", _BASE64, Stretches(f"{ascii_letters}{_DIGITS}+/_-=\r\n", 16), _base64),
    ("base32", _BASE32, Stretches(f"{ascii_uppercase}234567=", 16), _base32),
    ("hex", _HEX, Stretches(f"{_DIGITS}abcdefABCDEFx :,-", 16), _hex),
    ("binary", _BINARY, Stretches("01 ,", 42), _binary),
    ("decimal", _DECIMAL, Stretches(f"{_DIGITS} ,;", 20), _decimal),
    ("morse", _MORSE, Stretches(".- /|", 17), _morse),
)


def blobs(text: str, odd: frozenset[str], numbers: Sequence[str]) -> Iterator[tuple[str, Payload]]:
    """(encoding, (start, end, decoded)) of every readable payload in `text`.

    Args:
        text: raw text; case matters.
        odd: its distinct folded words that are no known words, for the gates.
        numbers: the `numbers_among` them.
    """
    tried = _encodings(text, odd, numbers)
    if not tried:
        return
    for name, pattern, stretches, decode in _BLOBS:
        if name not in tried:
            continue
        for match in matches_in(pattern, stretches, text):
            try:
                decoded = as_text(decode(match.group()))
            except (binascii.Error, ValueError):
                continue
            if decoded is not None:
                yield name, (match.start(), match.end(), decoded)


def may_be_written(text: str) -> bool:
    """Whether `text`, all of whose words are known and in ASCII, may hold Morse code or escapes."""
    return "-" in text or "%" in text or "&" in text or "\\" in text


def _percent(match: re.Match[str]) -> str:
    return bytes.fromhex(match.group().replace("%", "")).decode("utf-8", "replace")


def _entity(match: re.Match[str]) -> str:
    return html.unescape(match.group())


def _escape(match: re.Match[str]) -> str:
    body = match.group()[1:]
    code = int(body[1:].strip("{}"), 16) if body[0] in "ux" else int(body, 8)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"


# (escape, a mark it has, how often there, its pattern, decoder)
_ESCAPES: tuple[tuple[str, str, int, re.Pattern[str], Callable[..., str]], ...] = (
    ("url", "%", 3, _PERCENT, _percent),
    ("entities", "&", 1, _ENTITY, _entity),
    ("escapes", "\\", 1, _ESCAPE, _escape),
)


def unescaped(text: str) -> Iterator[tuple[str, str, Pieced]]:
    """(escape, whole text with it resolved, origin) for every kind of escape in `text`."""
    for name, mark, least, pattern, decode in _ESCAPES:
        if mark not in text or text.count(mark) < least:
            continue
        pieces: list[tuple[int, int, int]] = []
        parts: list[str] = []
        at = length = 0
        for match in pattern.finditer(text):
            start, end = match.span()
            for low, high, part in ((at, start, text[at:start]), (start, end, decode(match))):
                if part:
                    pieces.append((length, low, high))
                    parts.append(part)
                    length += len(part)
            at = end
        if at:
            pieces.append((length, at, len(text)))
            whole = "".join((*parts, text[at:]))
            yield name, whole, Pieced(pieces, len(whole))
