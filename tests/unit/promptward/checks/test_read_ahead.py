"""Two readings of one stream: what was heard comes back in the same order."""

from __future__ import annotations

import pytest

from promptward.checks.read_ahead import ReadAhead
from promptward.exchange import Source
from promptward.protocols.base import Channel
from promptward.recognizers import Match

CONTENT = Channel("/content", Source.ASSISTANT)
ARGUMENTS = Channel("/arguments", Source.ASSISTANT, True)
FOUND = [Match("PERSON", 0, 3, 0.9, "classifier")]


def test_listening_changes_nothing_and_keeps_the_joined_texts() -> None:
    ahead = ReadAhead()
    first, second = ahead.listen(CONTENT), ahead.listen(ARGUMENTS)
    assert first is not None
    assert second is not None
    assert [first.feed("An"), second.feed("{"), first.feed("n"), first.close()] == [
        "An",
        "{",
        "n",
        "",
    ]
    assert list(first.findings) == []
    assert [(p.pointer, p.text, p.json_escaped) for p in ahead.parts] == [
        ("/content", "Ann", False),
        ("/arguments", "{", True),
    ]


def test_what_is_known_comes_in_the_order_of_the_channels_at_every_reading() -> None:
    ahead = ReadAhead()
    ahead.listen(CONTENT)
    ahead.listen(CONTENT)
    ahead.learn([FOUND, []])
    for _ in range(2):
        ahead.rewind()
        assert ahead.listen(CONTENT) is None
        assert [ahead.next_known(), ahead.next_known()] == [FOUND, []]
    with pytest.raises(IndexError):
        ahead.next_known()


def test_nothing_is_known_before_the_first_reading_is_over() -> None:
    with pytest.raises(IndexError):
        ReadAhead().next_known()
