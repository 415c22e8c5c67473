"""Redact, mask and hash."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from promptward.operators import Hash, Mask, Redact


def test_redact_names_the_entity_and_nothing_else() -> None:
    assert Redact().apply("EMAIL_ADDRESS", "ann@example.org") == "<EMAIL_ADDRESS>"


@pytest.mark.parametrize(
    ("value", "keep", "masked"),
    [
        ("4111 1111 1111 1234", 4, "**** **** **** 1234"),
        ("188-41-4132", 4, "***-**-4132"),
        ("ann@example.org", 3, "***@*******.org"),
        ("abcd", 4, "**cd"),  # never the whole of a short value
        ("a", 4, "*"),
        ("abcdef", 0, "******"),
        ("ü中1", 1, "**1"),
    ],
)
def test_mask(value: str, keep: int, masked: str) -> None:
    assert Mask(keep_last=keep).apply("X", value) == masked


def test_mask_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="keep_last"):
        Mask(keep_last=-1)
    with pytest.raises(ValueError, match="char"):
        Mask(char="**")


def test_hash_is_a_keyed_prefix() -> None:
    key = b"0123456789abcdef"
    out = Hash(key).apply("US_SSN", "188-41-4132")
    digest = hmac.new(key, b"US_SSN\x00188-41-4132", hashlib.sha256).hexdigest()
    assert out == f"<US_SSN:{digest[:16]}>"


def test_hash_depends_on_key_entity_and_value() -> None:
    outs = {
        Hash(key).apply(entity, value)
        for key in (b"0" * 16, b"1" * 16)
        for entity in ("A", "B")
        for value in ("x", "y", "\ud83d")
    }
    assert len(outs) == 12


def test_hash_refuses_a_short_key_and_hides_it() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Hash(b"short")
    assert "sixteen" not in repr(Hash(b"sixteen-byte-key"))
