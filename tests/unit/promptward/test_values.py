"""Value objects compare, hash and pickle by their fields, and the type checker freezes them."""

from __future__ import annotations

import copy
import pickle

from promptward.findings import Span


def test_compares_and_hashes_by_its_fields() -> None:
    one, same, other = Span("/a", 1, 2), Span("/a", 1, 2), Span("/a", 1, 3)
    assert one == same
    assert one != other
    assert len({one, same, other}) == 2


def test_has_no_room_for_other_attributes() -> None:
    assert not hasattr(Span("/a", 1, 2), "__dict__")


def test_survives_pickling_and_copying() -> None:
    span = Span("/a", 1, 2)
    assert pickle.loads(pickle.dumps(span)) == span
    assert copy.copy(span) == span
