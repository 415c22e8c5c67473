"""Replacing characters by a table."""

from __future__ import annotations

import pytest

from promptward.injection.respelling import FEW, Respelling, ascii_lower, char_class, not_ascii


def respelled(table: dict[str, str], text: str) -> str:
    return Respelling({ord(c): to for c, to in table.items()})(text, not_ascii(text))


def test_ascii_is_told_from_the_rest() -> None:
    assert not_ascii("plain") == ""
    assert not_ascii("a\ud800é🙂b") == "\ud800é🙂"
    assert ascii_lower("ABC") == "abc"
    assert ascii_lower("AÉ\ud800ẞ") == "aÉ\ud800ẞ"


@pytest.mark.parametrize(
    ("table", "text", "expected"),
    [
        ({"é": "e"}, "plain", "plain"),
        ({"é": "e", "ß": "ss", "\u200b": ""}, "é\u200bßé", "esse"),
        ({"é": "è", "è": "e"}, "éè", "èe"),  # what is written is not replaced again
        ({"é": "è", "è": "é"}, "éè", "èé"),
        ({"é": "è", "è": "ê", "ê": "e"}, "éèê", "èêe"),
        ({"𝐚": "a", "é": "e"}, "𝐚é🙂", "ae🙂"),
    ],
)
def test_every_character_is_replaced_once(table: dict[str, str], text: str, expected: str) -> None:
    assert respelled(table, text) == expected


def test_many_different_characters() -> None:
    codes = range(0x400, 0x400 + 3 * FEW)
    text = "".join(map(chr, codes)) * 2
    assert respelled({chr(code): "x" for code in codes}, text) == "x" * len(text)


def test_many_different_characters_that_are_sparse() -> None:
    table = {chr(code): "x" for code in range(0x400, 0x400 + 3 * FEW)} | {"𝐚": "a", "é": "𝐚"}
    spread = "".join(f"{c} and plain words after it " for c in [*table, "🙂"])
    assert respelled(table, spread) == spread.translate({ord(c): to for c, to in table.items()})
    table["é"] = "e"
    assert respelled(table, spread) == spread.translate({ord(c): to for c, to in table.items()})


def test_character_classes() -> None:
    pattern = char_class({ord(c) for c in "]^-ab\\"} | set(range(0x400, 0x410)))
    assert pattern.findall("a^]-\\xz\u0400\u0407\u040f\u0410") == [*"a^]-\\\u0400\u0407\u040f"]
    assert not char_class(set()).search("anything")
