"""Objects that an event carries whole: pointers of the response, places of the event."""

from __future__ import annotations

from promptward.exchange import JSON, Source
from promptward.llm import OpaquePart
from promptward.protocols import StreamEvent
from promptward.protocols.collect import PartCollector
from promptward.protocols.openai_responses.whole import read_whole


def test_pointers_places_and_keys() -> None:
    value: JSON = {"a": [{"an odd key": {"text": "t", "logprobs": [1]}}]}
    collector = PartCollector(10)
    collector.walk("/output/3", Source.ASSISTANT, value)
    collector.add_opaque("/output/3/b", Source.ASSISTANT, "file")
    event = StreamEvent({"item": value})
    read_whole(event, ("item",), value, "/output/3", collector)
    assert [(d.channel.pointer, d.place, d.text) for d in event.deltas] == [
        ("/output/3/a/0/*0#", (), "an odd key"),
        ("/output/3/a/0/*0/text", ("item", "a", 0, "an odd key", "text"), "t"),
    ]
    assert all(d.whole for d in event.deltas)
    assert event.opaque == [OpaquePart("/output/3/b", Source.ASSISTANT, "file")]
    ((place, channel, replacement),) = event.echoes
    assert place == ("item", "a", 0, "an odd key", "logprobs")
    assert channel.pointer == "/output/3/a/0/*0/text"
    assert replacement == []
