"""Edits: values and keys, where collect's pointers say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON
from promptward.jsonstrict import dumps_canonical
from promptward.protocols.edits import Keys, apply_edits


def test_values_and_keys() -> None:
    document: dict[str, JSON] = {"a b": {"c/d": ["x", {"~": "y"}]}, "e": "z"}
    before = dumps_canonical(document)
    changed = apply_edits(
        document, {"/*0#": "AB", "/*0/*0/0": "X", "/*0/*0/1/*0": "Y", "/*0/*0/1/*0#": "t", "/e": ""}
    )
    assert dumps_canonical(changed) == b'{"AB":{"c/d":["X",{"t":"Y"}]},"e":""}'
    assert dumps_canonical(document) == before


def test_without_edits_the_copy_is_shallow_and_ones_own() -> None:
    document: dict[str, JSON] = {"a": 1}
    changed = apply_edits(document, {})
    changed["b"] = 2
    assert document == {"a": 1}


def test_the_keys_of_an_object_are_listed_once() -> None:
    """However many of them change: listing them for each would cost their square."""

    class Counted(dict[str, JSON]):
        listed = 0

        def __iter__(self) -> Iterator[str]:
            Counted.listed += 1
            return super().__iter__()

    inner = Counted({f"key {number}": "x" for number in range(50)})
    keys = Keys()
    assert [keys.key(inner, f"*{number}") for number in range(50)] == [*dict(inner)]
    assert keys.key(inner, "plain") == "plain"
    assert Counted.listed == 1


def test_keys_must_stay_apart() -> None:
    document: dict[str, JSON] = {"a b": 1, "c d": 2}
    with pytest.raises(ExchangeError) as caught:
        apply_edits(document, {"/*0#": "[x]", "/*1#": "[x]"})
    assert caught.value.code == "ambiguous_key"


@pytest.mark.parametrize("pointer", ["/x", "/a/0", "/*0/b/c"])
def test_a_pointer_to_nowhere_is_our_mistake(pointer: str) -> None:
    with pytest.raises(KeyError):
        apply_edits({"a": {"b": "c"}}, {pointer: "x"})
