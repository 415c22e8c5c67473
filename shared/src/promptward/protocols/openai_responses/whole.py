"""The parts of an object that a stream event carries whole, as texts of that event.

Invariant: a part's pointer says where the text stands in the final response, its place where it
stands in the event; an object key that is itself a text has no place.
"""

from __future__ import annotations

from promptward.exchange import JSON
from promptward.protocols.base import Channel, Delta, Place, StreamEvent
from promptward.protocols.collect import PartCollector
from promptward.protocols.edits import Keys


def read_whole(
    event: StreamEvent, place: Place, value: JSON, prefix: str, collector: PartCollector
) -> None:
    """Add what `collector` found below `value` to `event`.

    Args:
        place: of `value` in the event.
        value: the object.
        prefix: pointer that the object has in the final response.
        collector: has read the object under that pointer.
    """
    keys = Keys()
    for part in collector.parts:
        channel = Channel(part.pointer, part.source, part.json_escaped)
        typed: Place = ()
        if not part.pointer.endswith("#"):
            typed = (*place, *_typed(value, part.pointer[len(prefix) :].split("/")[1:], keys))
        event.deltas.append(Delta(channel, part.text, typed, whole=True))
    event.opaque = [*event.opaque, *collector.opaque]
    event.echoes = [*event.echoes, *_echoes(event, place, value)]


def _typed(value: JSON, tokens: list[str], keys: Keys) -> list[str | int]:
    """Pointer tokens as keys and indexes of `value`."""
    typed: list[str | int] = []
    for token in tokens:
        if isinstance(value, list):
            typed.append(int(token))
            value = value[int(token)]
        elif isinstance(value, dict):
            key = keys.key(value, token)
            typed.append(key)
            value = value[key]
    return typed


def _echoes(event: StreamEvent, place: Place, value: JSON) -> list[tuple[Place, Channel, JSON]]:
    """Log probabilities beside the texts that were found."""
    echoes: list[tuple[Place, Channel, JSON]] = []
    for delta in event.deltas:
        if delta.place[-1:] != ("text",) or delta.place[: len(place)] != place:
            continue
        owner: JSON = value
        for token in delta.place[len(place) : -1]:
            owner = owner[token]  # type: ignore[index]
        if isinstance(owner, dict) and owner.get("logprobs"):
            echoes.append(((*delta.place[:-1], "logprobs"), delta.channel, []))
    return echoes
