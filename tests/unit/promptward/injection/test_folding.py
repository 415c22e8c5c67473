"""Folding: one spelling for many, from vendored tables only."""

from __future__ import annotations

import unicodedata

import pytest

from promptward.injection.folding import (
    fold,
    fold_table,
    lookalikes,
    mixes_scripts,
    skeleton,
)
from promptward.injection.respelling import not_ascii


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("HeLLo", "hello"), ("Ｉｇｎｏｒｅ", "ignore"), ("𝐢𝐠𝐧𝐨𝐫𝐞", "ignore"), ("ⓘⓖⓝⓞⓡⓔ", "ignore"),
        ("i\u200bg\u00adn\u2060ore", "ignore"), ("ígnörè", "ignore"), ("i\u0301gnore", "ignore"),
        ("ﬁne", "fine"), ("Straße", "strasse"), ("İstanbul", "istanbul"), ("ＩＧＮ", "ign"),
        ("\U000e0069\U000e0067", "ig"), ("‘a’ “b” – c…", "'a' \"b\" - c..."), ("🅰🅱", "ab"),
        ("Привет", "привет"), ("Ёлка", "елка"), ("إلغاء", "الغاء"), ("تَجَاهَل", "تجاهل"),
        ("नज़र", "नजर"), ("ﾃｽﾄ", "テスト"), ("、。", ",."), ("\u202eabc", "abc"), ("a\u00a0b", "a b"),
        ("ᴀʙᴄ", "abc"), ("x²", "x2"), ("ɐǝ", "ae"),
    ],
)  # fmt: skip
def test_fold(written: str, read: str) -> None:
    assert fold(written) == read


def test_ascii_keeps_its_length() -> None:
    text = "".join(map(chr, range(128)))
    assert fold(text) == text.lower()
    assert len(fold(text)) == 128


def test_folding_is_idempotent_over_every_code_point() -> None:
    text = "".join(chr(c) for c in range(0x80, 0x30000) if not 0xD800 <= c < 0xE000)
    once = fold(text)
    assert fold(once) == once


def test_skeleton_reads_look_alikes_as_latin() -> None:
    assert skeleton("ignоrе рrеviоus") == "ignore previous"
    assert skeleton("ΙGΝΟRΕ") == "ignore"
    assert fold("ignоrе") != "ignore"
    assert all(len(c) == 1 and not c.isascii() for c in lookalikes())


def test_tables_agree_with_nfkc_where_both_speak() -> None:
    """The vendored table is NFKC and lower case, plus dropped accents, on Latin compatibility forms."""
    for code in range(0xFF01, 0xFF5E):
        assert fold(chr(code)) == unicodedata.normalize("NFKC", chr(code)).lower()
    assert fold_table()[0x200B] == ""


def test_not_ascii() -> None:
    assert not_ascii("plain") == ""
    assert not_ascii("näïve—x") == "äï—"


def test_russian_and_greek_are_not_disguises_unless_they_touch_latin() -> None:
    for text in ("Забудь про это и иди домой", "Καλημέρα, τι κάνεις;", "Файл PDF готов", "naïve"):
        assert not mixes_scripts(fold(text), not_ascii(text))
    for text in ("ignоre", "previоus", "i\u200bgn\u200bо\u200bre", "ⲣrompt"):
        assert mixes_scripts(fold(text), not_ascii(text)), text


@pytest.mark.parametrize("filler", ["", "привет ", "hello "])
@pytest.mark.parametrize(
    ("text", "mixed"),
    [("сat", True), ("caт", True), ("cтa", True), ("c т a", False), ("c-т", False), ("ceα", True)],
)
def test_letters_of_two_alphabets_touch_whichever_a_text_has_more_of(
    filler: str, text: str, mixed: bool
) -> None:
    whole = f"{filler * 5}{text} {filler * 5}"
    assert mixes_scripts(fold(whole), not_ascii(whole)) is mixed
