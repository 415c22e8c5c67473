"""Folding: one spelling for the many ways Unicode writes the same letters.

Purpose: compatibility forms, case, accents, zero-width and bidi controls, tag characters and
look-alike letters are reduced to plain lower-case text before anything is matched.
Invariants: driven only by the vendored `data/fold.json`, never by this interpreter's
`unicodedata`, so every gateway folds alike; linear time; ASCII text keeps its length.
Source of the tables: `shared/training/build_fold_table.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

from promptward.injection.respelling import Respelling, ascii_lower, astral, char_class, not_ascii

# A Latin letter and one of the Greek and Cyrillic blocks that touch, found by either of them: the
# one that a text has fewer of is looked for many times quicker.
_NEAR = "[\u0370-\u045f]"
_TOUCHING_LATIN = re.compile(f"[a-z](?:(?={_NEAR})|(?<={_NEAR}[a-z]))")
_TOUCHING_NEAR = re.compile(f"{_NEAR}(?:(?=[a-z])|(?<=[a-z]{_NEAR}))")
_DATA = resources.files(__package__).joinpath("data")


@cache
def load_data(name: str) -> Mapping[str, object]:
    """The JSON object in `data/<name>.json`."""
    loaded: Mapping[str, object] = json.loads(
        _DATA.joinpath(f"{name}.json").read_text(encoding="utf-8")
    )
    return loaded


@cache
def fold_table() -> dict[int, str]:
    """`str.translate` table: code point → folded spelling; controls that hide text vanish."""
    tables = load_data("fold")
    deleted, folded = tables["deleted"], tables["folded"]
    assert isinstance(deleted, list)
    assert isinstance(folded, dict)
    table = {code: "" for low, high in deleted for code in range(low, high + 1)}
    table.update((int(code, 16), text) for code, text in folded.items())
    table.update((code, chr(code + 32)) for code in range(ord("A"), ord("Z") + 1))
    return table


@cache
def skeleton_table() -> dict[int, str]:
    """`fold_table` plus look-alike letters of other scripts → ASCII."""
    confusable = load_data("fold")["confusable"]
    assert isinstance(confusable, dict)
    return fold_table() | {int(code, 16): letter for code, letter in confusable.items()}


@cache
def lookalikes() -> frozenset[str]:
    """The characters that only `skeleton_table` turns into ASCII."""
    confusable = load_data("fold")["confusable"]
    assert isinstance(confusable, dict)
    return frozenset(chr(int(code, 16)) for code in confusable)


@cache
def folding() -> Respelling:
    """`fold_table` beyond ASCII, quick to apply."""
    return Respelling({code: text for code, text in fold_table().items() if code > 127})


@cache
def skeletons() -> Respelling:
    """`skeleton_table` beyond ASCII, quick to apply."""
    return Respelling({code: text for code, text in skeleton_table().items() if code > 127})


def fold(text: str) -> str:
    """`text` in plain lower-case spelling; ASCII text keeps its length."""
    return text.lower() if text.isascii() else ascii_lower(folding()(text, not_ascii(text)))


def skeleton(text: str) -> str:
    """`fold`, with look-alikes of Latin letters read as Latin."""
    return ascii_lower(skeletons()(text, not_ascii(text)))


@cache
def _lookalike_classes() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """(look-alikes of the Greek and Cyrillic blocks, the others of the basic plane)."""
    codes = {ord(c) for c in lookalikes() if c <= "\uffff"}
    near = {code for code in codes if 0x370 <= code <= 0x45F}
    return char_class(near), char_class(codes - near)


def mixes_scripts(folded: str, foreign: str) -> bool:
    """Whether look-alikes may stand for Latin letters in a text.

    True when one touches a Latin letter, or comes from a script in which nobody writes to a model;
    words in Russian or Greek alone are just Russian and Greek.

    Args:
        folded: the folded text, in which nothing invisible is left between letters.
        foreign: the original's characters outside ASCII.
    """
    near, far = _lookalike_classes()
    if far.search(foreign) or not lookalikes().isdisjoint(astral(foreign)):
        return True
    touching = _TOUCHING_LATIN if len(foreign) * 2 > len(folded) else _TOUCHING_NEAR
    return bool(near.search(foreign) and touching.search(folded))
