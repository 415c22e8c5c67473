"""Strings of stream events that no table knows."""

from __future__ import annotations

import pytest

from promptward.errors import ExchangeError
from promptward.protocols import StreamEvent
from promptward.protocols.event_texts import pointer_of, quiet, whole, whole_member


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
def test_keys_that_may_be_texts_refuse_the_event(key: str) -> None:
    with pytest.raises(ExchangeError) as caught:
        whole_member(StreamEvent({}), (), key, 1)
    with pytest.raises(ExchangeError):
        whole(StreamEvent({}), (), {"a": [{key: 1}]})
    assert (caught.value.code, caught.value.status) == ("unexpected_event", 502)
    assert key not in caught.value.message


def test_pointer_of() -> None:
    assert pointer_of(()) == ""
    assert pointer_of(("a", 0, "b/c")) == "/a/0/b~1c"
