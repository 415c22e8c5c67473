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

_NOT_ASCII = re.compile("[^\x00-\x7f]+")
_TOUCHING = re.compile("[a-z][\u0370-\u045f]|[\u0370-\u045f][a-z]")
_CAPITALS = re.compile("[A-Z]+")
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


def _translate(text: str, table: dict[int, str]) -> str:
    """`text.translate(table)`, quick where most of `text` is ASCII."""
    out = _NOT_ASCII.sub(lambda run: run.group().translate(table), text)
    return out.lower() if out.isascii() else _CAPITALS.sub(lambda run: run.group().lower(), out)


def fold(text: str) -> str:
    """`text` in plain lower-case spelling; ASCII text keeps its length."""
    return text.lower() if text.isascii() else _translate(text, fold_table())


def skeleton(text: str) -> str:
    """`fold`, with look-alikes of Latin letters read as Latin."""
    return _translate(text, skeleton_table())


def not_ascii(text: str) -> str:
    """The characters of `text` outside ASCII, in order."""
    return "" if text.isascii() else "".join(_NOT_ASCII.findall(text))


def mixes_scripts(folded: str, foreign: str) -> bool:
    """Whether look-alikes may stand for Latin letters in a text.

    True when one touches a Latin letter, or comes from a script in which nobody writes to a model;
    words in Russian or Greek alone are just Russian and Greek.

    Args:
        folded: the folded text, in which nothing invisible is left between letters.
        foreign: the original's characters outside ASCII.
    """
    found = lookalikes() & frozenset(foreign)
    return bool(found) and (
        any(not "\u0370" <= c <= "\u045f" for c in found) or bool(_TOUCHING.search(folded))
    )
