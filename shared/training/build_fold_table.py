"""Generate `promptward/injection/data/fold.json`, the vendored Unicode tables of the normaliser.

`unicodedata` differs between CPython 3.11 (Unicode 14) and Pyodide's 3.14 (Unicode 16), so what
decides a verdict is frozen here. Sources: the Unicode Character Database of the interpreter that
runs this script (NFKC, lower case, general categories) and Unicode TR39 confusables as packaged by
`confusable-homoglyphs` 3.3.1 (MIT). Look-alikes TR39 lists only for capitals are added by hand.

    python shared/training/build_fold_table.py shared/src/promptward/injection/data/fold.json
"""

from __future__ import annotations

import json
import sys
import unicodedata
from importlib import resources
from pathlib import Path

ASCII_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Scripts whose marks are dropped, so that text typed without accents reads the same.
ACCENTED = ((0x00C0, 0x052F), (0x1E00, 0x1FFF))
# Hangul syllables decompose but are already one code point; private use and surrogates have none.
SKIP = ((0xAC00, 0xD7A3), (0xD800, 0xF8FF), (0xF0000, 0x10FFFF))
DELETED = (
    (0x0300, 0x036F), (0x0483, 0x0489), (0x0610, 0x061A), (0x064B, 0x065F), (0x0670, 0x0670),
    (0x06D6, 0x06ED), (0x0640, 0x0640), (0x093C, 0x093C), (0x115F, 0x1160), (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFE20, 0xFE2F),
    (0xFFA0, 0xFFA0), (0xE0000, 0xE001F), (0xE007F, 0xE007F), (0xE0100, 0xE01EF), (0x180B, 0x180F),
)  # fmt: skip
BY_HAND = {
    "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i",
    "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه",
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
    "「": '"', "」": '"', "『": '"', "』": '"', "〈": "<", "〉": ">", "《": '"', "》": '"',
    "【": "[", "】": "]", "、": ",", "。": ".", "．": ".", "…": "...", "‐": "-", "‑": "-",
    "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-", "⁄": "/", "∕": "/", "⠀": " ", "·": ".",
    "¿": " ", "¡": " ", "।": ".", "،": ",", "؛": ";", "؟": "?", "\x85": " ", "\u2028": "\n",
    "\u2029": "\n", "ǀ": "|", "∣": "|",
    # turned letters, as produced by "upside-down text" generators
    "ɐ": "a", "ǝ": "e", "ɯ": "m", "ʇ": "t", "ɹ": "r", "ʍ": "w", "ʎ": "y", "ɥ": "h", "ɟ": "f",
    "ƃ": "g", "ᴉ": "i", "ʞ": "k", "ɔ": "c", "ʌ": "v", "ɓ": "b", "ɗ": "d", "ɡ": "g", "ɩ": "i",
}  # fmt: skip
# Small letters people substitute although TR39 pairs only their capitals (or only loosely).
LOOSE = {
    "в": "b", "н": "h", "м": "m", "т": "t", "к": "k", "г": "r", "п": "n", "и": "u", "я": "r",
    "э": "e", "з": "3", "α": "a", "β": "b", "ε": "e", "η": "n", "ι": "i", "κ": "k", "μ": "u",
    "ν": "v", "ο": "o", "π": "n", "ρ": "p", "σ": "o", "τ": "t", "υ": "u", "χ": "x", "ω": "w",
    "γ": "y", "δ": "d", "θ": "o", "λ": "a", "ζ": "z", "ё": "e", "є": "e", "ї": "i", "ґ": "r",
}  # fmt: skip


def in_ranges(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    """Whether `code` lies in one of the closed ranges."""
    return any(low <= code <= high for low, high in ranges)


def plain(character: str) -> str:
    """The folded spelling of one code point: compatibility form, lower case, accents dropped."""
    if character in BY_HAND:
        return BY_HAND[character]
    folded = unicodedata.normalize("NFKC", character).lower()
    out = []
    for part in folded:
        kept = part
        if in_ranges(ord(part), ACCENTED):
            kept = unicodedata.normalize("NFD", part)
        spelled = (BY_HAND.get(c) or named_letter(c) or c for c in kept)
        out.append("".join(c for c in spelled if not in_ranges(ord(c[0]), DELETED)))
    return "".join(out)


def named_letter(character: str) -> str | None:
    """The Latin letter a decorative symbol stands for, by its name (small capitals, squares)."""
    name = unicodedata.name(character, "")
    for prefix in (
        "LATIN LETTER SMALL CAPITAL ", "NEGATIVE CIRCLED LATIN CAPITAL LETTER ",
        "NEGATIVE SQUARED LATIN CAPITAL LETTER ", "REGIONAL INDICATOR SYMBOL LETTER ",
    ):  # fmt: skip
        rest = name.removeprefix(prefix)
        if rest != name and len(rest) == 1:
            return rest.lower()
    return None


def base_table() -> tuple[dict[str, str], list[int]]:
    """(code point in hex → folded spelling, code points that vanish)."""
    table: dict[str, str] = {}
    gone: list[int] = []
    for code in range(0x80, 0xF0000):
        if in_ranges(code, SKIP):
            continue
        character = chr(code)
        category = unicodedata.category(character)
        if 0xE0020 <= code <= 0xE007E:  # tag characters hide ASCII
            table[f"{code:x}"] = chr(code - 0xE0000).lower()
        elif in_ranges(code, DELETED) or category == "Cf":
            gone.append(code)
        elif category == "Zs":
            table[f"{code:x}"] = " "
        elif letter := named_letter(character):
            table[f"{code:x}"] = letter
        else:
            folded = plain(character)
            if folded != character and folded:
                table[f"{code:x}"] = folded
    return table, gone


def confusable_table(base: dict[str, str]) -> dict[str, str]:
    """Code points (hex) of other scripts that look like an ASCII letter → that letter."""
    source = resources.files("confusable_homoglyphs").joinpath("confusables.json")
    pairs = json.loads(source.read_text(encoding="utf-8"))
    table: dict[str, str] = {}
    for letter in ASCII_LETTERS + ASCII_LETTERS.upper():
        for entry in pairs.get(letter, ()):
            glyph = entry["c"]
            if len(glyph) == 1 and ord(glyph) >= 0x80:
                # TR39 gives capital I and small l one skeleton; a capital glyph is read as i
                capital_i = letter == "l" and glyph.lower() != glyph
                table.setdefault(f"{ord(glyph):x}", "i" if capital_i else letter.lower())
    for glyph, letter in LOOSE.items():
        for form in (glyph, glyph.upper()):
            if len(form) == 1:
                table.setdefault(f"{ord(form):x}", letter)
    return {k: v for k, v in sorted(table.items()) if not base.get(k, "é").isascii()}


def ranges_of(codes: list[int]) -> list[list[int]]:
    """Sorted code points as closed ranges."""
    out: list[list[int]] = []
    for code in codes:
        if out and code == out[-1][1] + 1:
            out[-1][1] = code
        else:
            out.append([code, code])
    return out


def main(path: str) -> None:
    """Write the tables to `path`."""
    base, gone = base_table()
    tables = {
        "unicode": unicodedata.unidata_version,
        "deleted": ranges_of(gone),
        "folded": base,
        "confusable": confusable_table(base),
    }
    text = json.dumps(tables, ensure_ascii=True, separators=(",", ":"))
    Path(path).write_text(text + "\n", encoding="ascii")
    print(len(base), len(gone), len(tables["confusable"]), len(text))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
