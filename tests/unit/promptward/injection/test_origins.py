"""Origins: from a derived text back to the one it came from."""

from __future__ import annotations

from promptward.injection.folding import fold, fold_table
from promptward.injection.origins import Folded, Pieced, identity, mirrored, then, within


def test_simple_origins() -> None:
    assert identity(2, 5) == (2, 5)
    assert within(10, 20)(0, 3) == (10, 20)
    assert mirrored(10)(0, 3) == (7, 10)
    assert then(mirrored(10), within(1, 2))(0, 3) == (1, 2)
    assert then(identity, identity) is identity


def test_folded_maps_over_growth_and_loss() -> None:
    text = "a\u200bﬁx"
    assert fold(text) == "afix"
    origin = Folded(text, fold_table())
    assert origin(0, 1) == (0, 1)
    assert origin(1, 3) == (2, 3)  # both letters of the ligature
    assert origin(2, 3) == (2, 3)  # one of them is still the whole ligature
    assert origin(3, 4) == (3, 4)
    assert origin(0, 4) == (0, 4)


def test_pieced_maps_letters_or_whole_pieces() -> None:
    # "ab" kept, "%41" became "A", "cd" kept
    origin = Pieced([(0, 0, 2), (2, 2, 5), (3, 5, 7)], 5)
    assert origin(0, 2) == (0, 2)
    assert origin(1, 3) == (1, 5)
    assert origin(2, 3) == (2, 5)
    assert origin(3, 5) == (5, 7)
    assert origin(4, 5) == (6, 7)
    assert Pieced([], 0)(0, 0) == (0, 0)
