"""Invisible payloads."""

from __future__ import annotations

from promptward.injection.hidden import hidden_payloads, may_hide


def test_emoji_sequences_are_not_payloads() -> None:
    for text in ("❤️ ☀️ ✈️", "🏴\U000e0067\U000e0062\U000e007f", "a\u200bb", "किताबें"):
        assert list(hidden_payloads(text)) == []
    assert not may_hide("ééééééé")
    assert not may_hide("\u200b" * 39)
    assert may_hide("\u200b" * 40)
    assert may_hide("é" * 9 + "\ufe0f" * 6)
    assert may_hide("é" * 9 + "\U000e0101" * 6)


def test_payload_is_found_with_its_place() -> None:
    tags = "".join(chr(0xE0000 + ord(c)) for c in "Hello there")
    text = f"ab{tags}cd"
    assert may_hide(tags)
    assert list(hidden_payloads(text)) == [("tags", (2, 13, "Hello there"))]
