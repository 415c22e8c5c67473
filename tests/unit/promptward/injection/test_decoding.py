"""Decoders take what reads as text and leave everything else alone."""

from __future__ import annotations

import pytest

from promptward.injection.decoding import (
    _CODE_NUMBERS,
    _HEX_PAIRS,
    as_text,
    blobs,
    may_be_written,
    numbers_among,
    unescaped,
)
from promptward.injection.lexicon import known_words


def decoded(text: str) -> list[tuple[str, str]]:
    words = frozenset(text.lower().replace(",", " ").split())
    return [(name, payload[2]) for name, payload in blobs(text, words, numbers_among(words))]


@pytest.mark.parametrize(
    "text",
    [
        "d41d8cd98f00b204e9800998ecf8427e",  # MD5
        "550e8400-e29b-41d4-a716-446655440000",
        "AKIAIOSFODNN7EXAMPLE",
        "internationalisation responsibilities",
        "/usr/local/lib/python3/site-packages/module",
        "0110 0111",
        "2024-05-01 12:30:45 10.0.0.1",
        "--.. ..",
    ],
)
def test_ordinary_strings_decode_to_nothing(text: str) -> None:
    assert decoded(text) == []


def test_what_reads_as_text() -> None:
    assert as_text(b"hello world") == "hello world"
    assert as_text("grüße dich".encode()) == "grüße dich"
    assert as_text("hello".encode("utf-16-le")) is None  # five letters are too few
    assert as_text("hello you".encode("utf-16-le")) == "hello you"
    assert as_text(b"\x00\x01\x02\x03\x04\x05\x06\x07") is None
    assert as_text(b"\xff\xfe\xfd\xfc\xfb\xfa") is None
    assert as_text(b"short") is None


def test_escapes_resolve_in_place() -> None:
    (found,) = unescaped("a %48%69%21 b")
    name, whole, origin = found
    assert (name, whole) == ("url", "a Hi! b")
    assert origin(2, 5) == (2, 11)
    assert origin(6, 7) == (12, 13)
    assert list(unescaped("100 % sure; a & b")) == []


def test_bad_escapes_do_no_harm() -> None:
    texts = [
        whole for _, whole, _ in unescaped(r"\ud800 \u{110000} \777 %ff%fe%fd &#x110000; &nope;")
    ]
    assert texts
    assert all(text.encode("utf-8", "strict") for text in texts)


@pytest.mark.parametrize(
    "text", ["... --- ... / -.- -.. ", "we %68%69 are", "&lt; and &#105;", r"a \u0069 b", "a \\151"]
)
def test_payloads_without_unknown_words_have_a_mark(text: str) -> None:
    """What is gone by if no word of a text is unknown: no other decoder reads such a text."""
    assert may_be_written(text)
    plain = "".join(c if c not in "-%&\\" else " " for c in text)
    assert not may_be_written(plain)
    assert [*blobs(plain, frozenset(), [])] == [*unescaped(plain)] == []


def test_no_known_word_is_written_in_digits() -> None:
    """Only words that are not known are asked whether a text may hold an encoding."""
    known = known_words()
    assert known.isdisjoint(_HEX_PAIRS | _CODE_NUMBERS)
    assert not any("0x" in word or "011" in word for word in known)
