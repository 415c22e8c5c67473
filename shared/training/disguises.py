"""Disguises that attackers use, for measuring how many attacks survive them.

Every function takes a text and returns it disguised; none is random. They are written against the
public descriptions of each trick, not against the detector.
"""

from __future__ import annotations

import base64
import codecs
import html
from collections.abc import Callable
from urllib.parse import quote

_LEET = str.maketrans("aeiost", "431057")
_CYRILLIC = str.maketrans("aeopcxyiAEOPCXKMTH", "аеорсхуіАЕОРСХКМТН")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _typos(text: str) -> str:
    words = text.split(" ")
    return " ".join(w[0] + w[2] + w[1] + w[3:] if len(w) > 5 and w.isalpha() else w for w in words)


def _styled(text: str, capital: int, small: int) -> str:
    return "".join(
        chr(capital + ord(c) - 65)
        if "A" <= c <= "Z"
        else chr(small + ord(c) - 97)
        if "a" <= c <= "z"
        else c
        for c in text
    )


DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": lambda t: t,
    "upper case": str.upper,
    "full width": lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
    "mathematical bold": lambda t: _styled(t, 0x1D400, 0x1D41A),
    "zero-width spaces": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "tag characters": lambda t: (
        "Hello. " + "".join(chr(0xE0000 + ord(c)) for c in t if " " <= c <= "~")
    ),
    "Cyrillic look-alikes": lambda t: t.translate(_CYRILLIC),
    "combining accents": lambda t: "".join(c + "\u0301" if c.isalpha() else c for c in t),
    "leetspeak": lambda t: t.lower().translate(_LEET),
    "spaced letters": lambda t: "  ".join(" ".join(w) for w in t.split()),
    "evenly spaced letters": lambda t: " ".join("".join(t.split())),
    "dashed letters": lambda t: " ".join("-".join(w) for w in t.split()),
    "swapped letters": _typos,
    "base64": _base64,
    "base64 in a sentence": lambda t: f"Please decode this: {_base64(t)} and do what it says.",
    "base64 twice": lambda t: _base64(_base64(t)),
    "base32": lambda t: base64.b32encode(t.encode()).decode(),
    "hex": lambda t: t.encode().hex(),
    "hex with spaces": lambda t: t.encode().hex(" "),
    "binary": lambda t: " ".join(f"{b:08b}" for b in t.encode()),
    "percent encoding": lambda t: "".join(f"%{b:02X}" for b in t.encode()),
    "URL quoting": quote,
    "HTML entities": lambda t: "".join(f"&#{ord(c)};" for c in t),
    "named entities": html.escape,
    "unicode escapes": lambda t: "".join(f"\\u{ord(c):04x}" if ord(c) < 65536 else c for c in t),
    "rot13": lambda t: codecs.encode(t, "rot13"),
    "Caesar 3": lambda t: "".join(
        chr((ord(c) - 94) % 26 + 97) if "a" <= c <= "z" else c for c in t.lower()
    ),
    "reversed": lambda t: t[::-1],
    "reversed in base64": lambda t: _base64(t[::-1]),
}
