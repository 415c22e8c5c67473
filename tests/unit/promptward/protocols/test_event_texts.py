"""Strings of stream events that no table knows."""

from __future__ import annotations

import pytest

from promptward.errors import ExchangeError
from promptward.protocols import StreamEvent
from promptward.protocols.event_texts import (
    identifier,
    pointer_of,
    quiet,
    whole,
    whole_member,
)


def test_whole_texts_are_found_with_their_places() -> None:
    event = StreamEvent({})
    whole(event, ("x",), {"type": "object", "a": ["b", {"c": "d", "e": ""}], "f": 1})
    assert [(d.place, d.text, d.channel.pointer) for d in event.deltas] == [
        (("x", "a", 0), "b", "/x/a/0"),
        (("x", "a", 1, "c"), "d", "/x/a/1/c"),
    ]
    assert all(d.whole for d in event.deltas)


def test_quiet_fields() -> None:
    event = StreamEvent({})
    for value in ("chatcmpl-1", "", None, 5, "fp_44709d6fcb"):
        quiet(event, ("id",), value)
    assert event.deltas == []
    quiet(event, ("id",), "two words")
    quiet(event, ("id",), ["in an array"])
    assert [d.text for d in event.deltas] == ["two words", "in an array"]


@pytest.mark.parametrize("key", ["two words", "ann@example.com", "4111111111111111"])
def test_keys_that_may_be_texts_are_texts_without_a_place(key: str) -> None:
    event = StreamEvent({})
    whole_member(event, ("x",), key, 1)
    whole(event, (), {"a": [{key: "t"}]})
    assert [(d.text, d.place, d.channel.pointer, d.whole) for d in event.deltas] == [
        (key, (), "/x/*#", True),
        (key, (), "/a/0/*#", True),
        ("t", ("a", 0, key), "/a/0/*", True),
    ]


@pytest.mark.parametrize("key", ["two words", "ann@example.com", "4111111111111111"])
def test_no_such_key_names_a_channel(key: str) -> None:
    identifier((), "plain_name")
    identifier((), 0)
    with pytest.raises(ExchangeError) as caught:
        identifier((), key)
    assert (caught.value.code, caught.value.status) == ("unexpected_event", 502)
    assert key not in caught.value.message


def test_pointer_of() -> None:
    assert pointer_of(()) == ""
    assert pointer_of(("a", 0, "b", "c d")) == "/a/0/b/*"
