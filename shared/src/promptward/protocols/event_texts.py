"""Finding the strings of a stream event that no protocol table knows.

Invariants: every string is either structure, a whole text of its own (outside the part of the
event that continues a text), or the continuation of a channel named by its place. An object key
that is not an identifier is a text too; it has no place, because nothing can change it in passing.
Pointers never spell such a key out.
"""

from __future__ import annotations

from collections.abc import Callable

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.protocols.base import BAD_GATEWAY, Channel, Delta, Place, StreamEvent
from promptward.protocols.collect import CORRELATION_ID, IDENTIFIER

_KIND_KEYS = frozenset({"type", "format", "role", "object", "status"})


def unexpected(what: str) -> ExchangeError:
    """The error for an event of a shape the protocol does not have.

    Args:
        what: the place and what was expected there; never content.
    """
    return ExchangeError("unexpected_event", f"the upstream's stream: {what}", BAD_GATEWAY)


def quiet(event: StreamEvent, place: Place, value: JSON) -> None:
    """A field that holds an id or a word; a string of another shape is a whole text."""
    if isinstance(value, str):
        if value and not CORRELATION_ID.fullmatch(value):
            event.deltas.append(whole_text(place, value))
    elif isinstance(value, (list, dict)):
        whole(event, place, value)


def is_structure(value: JSON) -> bool:
    """Whether a value may be repeated in an event of ours: it holds no text."""
    return not isinstance(value, (str, list, dict)) or (
        isinstance(value, str) and CORRELATION_ID.fullmatch(value) is not None
    )


def whole_text(place: Place, text: str) -> Delta:
    """A string that is complete in itself."""
    return Delta(Channel(pointer_of(place), Source.ASSISTANT), text, place, whole=True)


def whole(event: StreamEvent, place: Place, value: JSON) -> None:
    """Every string below `value` as a whole text."""
    visit(event, place, value, lambda at, text: event.deltas.append(whole_text(at, text)))


def whole_member(event: StreamEvent, place: Place, key: str, value: JSON) -> None:
    """Every string in the member `key` of the object at `place`, the key included."""
    object_key(event, place, key)
    whole(event, (*place, key), value)


def object_key(event: StreamEvent, place: Place, key: str) -> None:
    """Add the key of a member of the object at `place`, if it may be a text."""
    if IDENTIFIER.fullmatch(key) is None:
        pointer = f"{pointer_of(place)}/*#"
        event.deltas.append(Delta(Channel(pointer, Source.ASSISTANT), key, (), whole=True))


def identifier(place: Place, key: str | int) -> None:
    """Refuse a key that could be a text where it names a channel."""
    if isinstance(key, str) and IDENTIFIER.fullmatch(key) is None:
        raise unexpected(f"{pointer_of(place) or 'an event'}: expected keys that are identifiers")


def visit(
    event: StreamEvent,
    place: Place,
    value: JSON,
    take: Callable[[Place, str], None],
    start: int = 0,
) -> None:
    """Call `take` with every string at or below `value` that is not structure.

    Args:
        event: gets the object keys that may be texts.
        place: of `value` in the event.
        take: gets the place without its first `start` tokens, and the string.
    """
    if isinstance(value, str):
        if value and not (
            place and place[-1] in _KIND_KEYS and IDENTIFIER.fullmatch(value) is not None
        ):
            take(place[start:], value)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            visit(event, (*place, index), item, take, start)
    elif isinstance(value, dict):
        for key, member in value.items():
            object_key(event, place, key)
            visit(event, (*place, key), member, take, start)


def pointer_of(place: Place) -> str:
    """RFC 6901 pointer of `place`, with `*` for keys that are not identifiers."""
    return "".join(f"/{t if isinstance(t, int) or IDENTIFIER.fullmatch(t) else '*'}" for t in place)
