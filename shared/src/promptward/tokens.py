"""Token estimates without a tokenizer: how many tokens a text is in OpenAI's vocabularies.

A byte-pair vocabulary has about 200,000 entries; this has 28 weights. The text is reduced to counts
of characters and of runs by class (letters, digits, punctuation, Cyrillic, Han, ...), and a
non-negative linear model turns them into tokens. Measured on held-out texts: mean error 6.6 % in
o200k and 5.8 % in cl100k over seven classes of text (docs/budgets.md has the table and the rate of
under-estimates; shared/training/calibrate_tokens.py makes it).

Invariants: deterministic on every platform (integers only), linear time, never raises, 0 only for
the empty text. Estimates only reserve; the bill is what the upstream reports.

How the counting is fast: a table maps each byte to a class bit, the result is read as one big
integer, and a few shifts, ands and `bit_count`s see all characters at once (about 6 µs per KB).
"""

from __future__ import annotations

from operator import mul

from promptward.ports import Vocabulary

MESSAGE_TOKENS = 3
"""Tokens that frame each chat message, and again the reply (OpenAI cookbook, "How to count tokens
with tiktoken", `tokens_per_message`)."""

O200K_MODELS = ("gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "chatgpt-4o", "o1", "o3", "o4", "gpt-oss")
"""Model name prefixes of o200k_base and o200k_harmony (tiktoken, `model.py`)."""

CHUNK_CHARS = 65_536
"""Longer texts are counted in pieces, so that the big integers stay in the cache."""

LETTER, UPPER, DIGIT, SPACE, BREAK, PUNCT = 1, 2, 4, 8, 16, 32

LATIN, CYRILLIC, ARABIC, KANA, HAN, HANGUL, SYMBOL, EMOJI = 1, 2, 4, 8, 16, 32, 64, 128

# fmt: off
SHAPE = (
    "letter", "word", "upper", "capital", "digit", "number", "punct", "puncts", "break", "breaks",
    "space",
    "latin", "latin_run", "cyrillic", "cyrillic_run", "arabic", "arabic_run", "kana", "kana_run",
    "han", "han_run", "hangul", "hangul_run", "symbol", "symbol_run", "emoji", "emoji_run", "other",
)
# fmt: on
"""What `text_shape` counts, in order: characters of a class, then runs of it."""

ASCII_SHAPE = 11
"""So many of them an ASCII text can have."""

# Thousandths of a token per count, in the order of SHAPE; fitted by
# shared/training/calibrate_tokens.py against gpt-tokenizer's o200k_base and cl100k_base.
WEIGHTS: dict[Vocabulary, tuple[int, ...]] = {
    "o200k": (
        *(60, 679, 66, 214, 354, 1128, 296, 350, 244, 776, 64),
        *(573, 570, 88, 1260, 323, 108, 611, 0, 661, 636, 603, 0, 1386, 0, 1432, 691, 386),
    ),
    "cl100k": (
        *(54, 718, 40, 295, 353, 1176, 251, 395, 212, 804, 57),
        *(605, 1727, 365, 1041, 739, 400, 949, 0, 1098, 76, 979, 0, 2222, 0, 2487, 0, 1021),
    ),
}


def estimate_tokens(text: str, vocabulary: Vocabulary = "o200k") -> int:
    """Estimated number of tokens of `text`; at least 1 unless it is empty."""
    weights = WEIGHTS[vocabulary]
    thousandths = 0
    for start in range(0, len(text), CHUNK_CHARS):
        shape = text_shape(text[start : start + CHUNK_CHARS])
        thousandths += sum(map(mul, weights, shape))
    return max(1, -(-thousandths // 1000)) if text else 0


def vocabulary_of(model: str) -> Vocabulary:
    """The vocabulary to estimate with for a model.

    Unknown models get cl100k: its estimates are never far below o200k's and well above it outside
    English, which is the safe side for vocabularies we do not know.
    """
    return "o200k" if model.startswith(O200K_MODELS) else "cl100k"


def text_shape(text: str) -> list[int]:
    """Counts named by SHAPE; the first ASCII_SHAPE of them when the text is ASCII.

    Args:
        text: at most CHUNK_CHARS characters.
    """
    if len(text) > CHUNK_CHARS:
        raise ValueError(f"text_shape counts at most {CHUNK_CHARS} characters at a time")
    data = text.encode("utf-8", "surrogatepass")
    ascii_only = len(data) == len(text)
    if not ascii_only:
        data = data.translate(None, _CONTINUATION)  # one byte per character: its lead byte
    classes = int.from_bytes(data.translate(_ASCII_CLASSES), "little")
    shape = _characters_and_runs(classes, _ASCII_MASKS)
    letters, _, _, _, digits, _, puncts, _, breaks, _ = shape
    known = letters + digits + puncts + breaks
    if ascii_only:  # the rest are spaces
        return [*shape, len(data) - known]
    spaces = (classes & _SPACES).bit_count()
    wide = _characters_and_runs(
        int.from_bytes(data.translate(_WIDE_CLASSES), "little"), _WIDE_MASKS
    )
    known += spaces + sum(wide[2::2])  # Latin letters were counted as letters
    return [*shape, spaces, *wide, len(data) - known]


def _characters_and_runs(classes: int, masks: tuple[int, ...]) -> list[int]:
    """For each mask how many characters are of its class and how many runs they make."""
    again = classes & (classes >> 8)  # the class bits a character shares with its neighbour
    shape: list[int] = []
    for mask in masks:
        count = (classes & mask).bit_count()
        shape += (count, count - (again & mask).bit_count())
    return shape


def _ascii_classes() -> bytes:
    table = bytearray(256)
    for byte in range(0x80):
        character = chr(byte)
        if character.isalpha():
            table[byte] = LETTER | UPPER if character.isupper() else LETTER
        elif character.isdigit():
            table[byte] = DIGIT
        elif character == " ":
            table[byte] = SPACE
        else:
            table[byte] = PUNCT if character.isprintable() else BREAK
    for byte in _LATIN_LEADS:
        table[byte] = LETTER
    return bytes(table)


def _wide_classes() -> bytes:
    table = bytearray(256)
    leads = {
        LATIN: _LATIN_LEADS,
        CYRILLIC: range(0xD0, 0xD4),
        ARABIC: range(0xD8, 0xDC),
        KANA: (0xE3,),
        HAN: range(0xE4, 0xEA),
        HANGUL: range(0xEA, 0xEE),
        SYMBOL: (0xC2, 0xE2, 0xEF),  # U+0080..00BF, U+2000..2FFF, U+F000..FFFF
        EMOJI: (0xF0,),
    }
    for bit, bytes_of_class in leads.items():
        for byte in bytes_of_class:
            table[byte] = bit
    return bytes(table)


_LATIN_LEADS = (*range(0xC3, 0xCE), 0xE1)  # U+00C0..037F; U+1000..1FFF with Vietnamese
_CONTINUATION = bytes(range(0x80, 0xC0))
_ASCII_CLASSES = _ascii_classes()
_WIDE_CLASSES = _wide_classes()
# Made once for the longest chunk: an `and` costs as much as its shorter side is long.
_ONES = int.from_bytes(b"\x01" * CHUNK_CHARS, "little")
_ASCII_MASKS = tuple(_ONES * bit for bit in (LETTER, UPPER, DIGIT, PUNCT, BREAK))
_SPACES = _ONES * SPACE
_WIDE_MASKS = tuple(
    _ONES * bit for bit in (LATIN, CYRILLIC, ARABIC, KANA, HAN, HANGUL, SYMBOL, EMOJI)
)
