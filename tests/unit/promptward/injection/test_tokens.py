"""What separates words."""

from __future__ import annotations

from promptward.injection.tokens import spaced


def test_marks_become_spaces_and_places_stay() -> None:
    assert spaced("a.b,c (d)") == "a b c  d "
    assert spaced("me@x $5 i'm") == "me@x $5 i m"
    assert spaced("привет,мир!") == "привет мир "
    assert spaced("a🙂b") == "a b"
    assert all(len(spaced(t)) == len(t) for t in ("", "a\n\tb", "…x—y", "ab\x00c"))
