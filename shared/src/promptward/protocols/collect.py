"""Collecting the texts of a body: typed reads of known fields, a full walk of unknown ones.

Invariants: every string ends up as a part unless it is structure; object keys count as text unless
they look like an identifier, and a client's even then if four words are joined in one. Pointers end
up in findings and audit events, so they never hold a key that is no identifier: the token `*3`
stands for the fourth member of an object, and `…/*3#` for the text of its key (no identifier holds
`*` or `#`; `edits` resolves both). Errors name the JSON pointer, what was expected and what came,
and never quote a value. Recursion is as deep as the document, which `jsonstrict` bounds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NoReturn

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.llm import OpaquePart, Part

# A word that is structure where a fixed set of words is expected, and a key nobody needs to read:
# letters with few trailing digits, so that no credential, number or sentence passes as one.
IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z_.$-]{0,47}[0-9]{0,3}")
# Correlation ids (`call_…`, `chatcmpl-…`, UUIDs): replacing one would break the protocol.
CORRELATION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:|=+/-]{0,255}")
# Four words in a row are a sentence, however they are joined: a client that writes an id or the
# name of a tool's property can write `ignore_all_previous_instructions`, and the model reads it.
# Its time grows with the square of the length: asked only of what one of the shapes above bounds.
_SENTENCE = re.compile(r"(?:[A-Za-z]{2,}[_.:|=+/-]){3}[A-Za-z]{2}")
# Ciphertext and signatures that a provider made and only it can read (Anthropic `signature`,
# `encrypted_content`; OpenAI `encrypted_content`): base64, standard or URL-safe. Nobody else can
# put a text into one, and a changed one is refused by the provider.
SEALED = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
# Members of free-form objects that name a kind; a bare word there is structure
# (JSON Schema 2020-12 `type`, `format`; the `type` tags of all three protocols).
_KIND_KEYS = frozenset({"type", "format", "role", "object", "status"})
# Members by which messages, items and content parts are told apart.
_DECIDING = frozenset({"type", "role", "content"})

_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def wrong_type(pointer: str, expected: str, value: JSON, status: int = 400) -> NoReturn:
    """Raise the error for a value of the wrong JSON type.

    Args:
        pointer: of the value; made of the protocol's own names and of indexes only.
        expected: with its article, for example `a string`.
        status: 400 for a client's body, 502 for an upstream's.
    """
    raise ExchangeError(
        "invalid_type",
        f"{pointer or 'the body'}: expected {expected}, got {_NAMES[type(value)]}",
        status,
    )


def refuse_other_case(
    pointer: str, members: Iterable[str], known: Collection[str], status: int = 400
) -> None:
    """Refuse members that are known ones but for their case.

    Some readers take those too, and the last one counts (Go's encoding/json: "preferring exact
    matches but also accepting case-insensitive matches"; it folds the Kelvin sign to k as well).
    They would act on a field that nobody has checked.

    Raises:
        ExchangeError: `ambiguous_key`.
    """
    for key in members:
        if key not in known and (name := key.casefold()) in known:
            raise ExchangeError(
                "ambiguous_key", f"{pointer}/{name}: the field's name is in another case", status
            )


class PartCollector:
    """Gathers parts in document order.

    Args:
        max_parts: texts and opaque parts together.
        status: HTTP status of the errors raised; 400 for a client's body, 502 for an upstream's.
    """

    __slots__ = ("_max_parts", "_positions", "opaque", "parts", "status")

    def __init__(self, max_parts: int, status: int = 400) -> None:
        self.parts: list[Part] = []
        self.opaque: list[OpaquePart] = []
        self._max_parts = max_parts
        # id of an object -> key -> position; the document keeps the objects alive meanwhile
        self._positions: dict[int, dict[str, int]] = {}
        self.status = status

    def add(self, pointer: str, source: Source, text: str, json_escaped: bool = False) -> None:
        """Add one text; an empty one holds nothing to inspect and is left out."""
        if text:
            self._room()
            self.parts.append(Part(pointer, source, text, json_escaped))

    def add_opaque(self, pointer: str, source: Source, reason: str) -> None:
        """Add one part that cannot be inspected."""
        self._room()
        self.opaque.append(OpaquePart(pointer, source, reason))

    def _room(self) -> None:
        if len(self.parts) + len(self.opaque) >= self._max_parts:
            raise ExchangeError(
                "too_many_parts", f"the body holds more than {self._max_parts} texts", 413
            )

    def walk(self, pointer: str, source: Source, value: JSON, numbers: bool = False) -> None:
        """Add every string below `value`, keys included; with `numbers`, long integers too."""
        if isinstance(value, str):
            self.add(pointer, source, value)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if type(item) in _CAN_HOLD_TEXT or (numbers and type(item) is int):
                    self.walk(f"{pointer}/{index}", source, item, numbers)
        elif isinstance(value, dict):
            for key, member in value.items():
                self.member(pointer, source, key, member, value, numbers)
        elif numbers and type(value) is int and abs(value) >= _LONG_INTEGER:
            self.add(pointer, source, str(value))

    def member(
        self,
        pointer: str,
        source: Source,
        key: str,
        value: JSON,
        owner: dict[str, JSON],
        numbers: bool = False,
    ) -> None:
        """Add the texts of one member of the object `owner`, which stands at `pointer`."""
        if IDENTIFIER.fullmatch(key):
            inner = f"{pointer}/{key}"
            if self._worded(key):
                self.add(f"{pointer}/*{self._position(owner, key)}#", source, key)
        else:
            inner = f"{pointer}/*{self._position(owner, key)}"
            self.add(inner + "#", source, key)
        if isinstance(value, str):
            if not (key in _KIND_KEYS and self._is_word(value)):
                self.add(inner, source, value)
        elif type(value) in _CAN_HOLD_TEXT or numbers:
            self.walk(inner, source, value, numbers)

    def _is_word(self, value: str) -> bool:
        return IDENTIFIER.fullmatch(value) is not None and not self._worded(value)

    def _worded(self, name: str) -> bool:
        """Whether a client wrote a sentence as a name; names in answers are the upstream's."""
        return self.status < 500 and _SENTENCE.search(name) is not None

    def _position(self, owner: dict[str, JSON], key: str) -> int:
        positions = self._positions.get(id(owner))
        if positions is None:
            positions = {name: position for position, name in enumerate(owner)}
            self._positions[id(owner)] = positions
        return positions[key]

    def arguments(self, pointer: str, value: JSON) -> None:
        """The arguments of a tool call as JSON values: long integers are read like texts.

        A card or account number may stand there as a number; where a protocol carries arguments as
        JSON source it is found all the same, and so it is here. An edit makes it a string.
        """
        self.walk(pointer, Source.TOOL_ARGUMENTS, value, numbers=True)

    def word(self, pointer: str, source: Source, value: JSON) -> None:
        """A field that names one of a fixed set; anything but a bare word there is text."""
        if isinstance(value, str):
            if not self._is_word(value):
                self.add(pointer, source, value)
        elif value is not None:
            wrong_type(pointer, "a string", value, self.status)

    def correlation_id(self, pointer: str, source: Source, value: JSON) -> None:
        """A field that links one object to another; anything of another shape is text.

        So is what a client wrote in words; the ids in answers are made by the upstream.
        """
        if isinstance(value, str):
            if not CORRELATION_ID.fullmatch(value) or self._worded(value):
                self.add(pointer, source, value)
        elif value is not None:
            wrong_type(pointer, "a string", value, self.status)

    def model(self, pointer: str, source: Source, value: JSON) -> None:
        """The name of a model, which authorization judges; anything of another shape is text."""
        if not (isinstance(value, str) and CORRELATION_ID.fullmatch(value)):
            self.text(pointer, source, value)

    def sealed(self, pointer: str, source: Source, value: JSON) -> None:
        """A field of provider-made ciphertext; anything of another shape is text."""
        if isinstance(value, str):
            if not SEALED.fullmatch(value):
                self.add(pointer, source, value)
        elif value is not None:
            wrong_type(pointer, "a string", value, self.status)

    def text(self, pointer: str, source: Source, value: JSON, json_escaped: bool = False) -> None:
        """A field that holds a text or null."""
        if isinstance(value, str):
            self.add(pointer, source, value, json_escaped)
        elif value is not None:
            wrong_type(pointer, "a string", value, self.status)

    def text_or_objects(
        self, pointer: str, source: Source, value: JSON, read: ObjectReader, expected: str
    ) -> None:
        """A field that holds a text, null or an array of objects.

        Args:
            read: called for each object with its pointer.
            expected: the text or the array, in words, for the error.
        """
        if isinstance(value, str):
            self.add(pointer, source, value)
        elif isinstance(value, list):
            for at, item in self.objects(pointer, value):
                read(self, at, source, item)
        elif value is not None:
            wrong_type(pointer, expected, value, self.status)

    def members(
        self, pointer: str, source: Source, members: dict[str, JSON], rows: Mapping[str, Row]
    ) -> None:
        """Every member of an object: by its row, or walked."""
        for key, value in members.items():
            row = rows.get(key)
            if row is not None:
                row(self, f"{pointer}/{key}", source, value)
            else:
                if key not in _KIND_KEYS:
                    refuse_other_case(pointer, (key,), _DECIDING, self.status)
                self.member(pointer, source, key, value, members)

    def objects(self, pointer: str, value: JSON) -> list[tuple[str, dict[str, JSON]]]:
        """A field that holds an array of objects or null: (pointer, object) pairs."""
        found: list[tuple[str, dict[str, JSON]]] = []
        for index, item in enumerate(self.array(pointer, value)):
            inner = f"{pointer}/{index}"
            found.append((inner, self.object(inner, item)))
        return found

    def array(self, pointer: str, value: JSON) -> list[JSON]:
        """A field that holds an array; null reads as an empty one."""
        if value is None:
            return []
        if not isinstance(value, list):
            wrong_type(pointer, "an array", value, self.status)
        return value

    def object(self, pointer: str, value: JSON) -> dict[str, JSON]:
        """A value that must be an object."""
        if not isinstance(value, dict):
            wrong_type(pointer, "an object", value, self.status)
        return value


ObjectReader = Callable[[PartCollector, str, Source, dict[str, JSON]], None]
"""Reads one object: (collector, pointer, source, object)."""
Row = Callable[[PartCollector, str, Source, JSON], None]
"""Reads one member of a kind that a protocol knows: (collector, pointer, source, value)."""

_CAN_HOLD_TEXT = frozenset({str, list, dict})
_LONG_INTEGER = 10**6  # seven digits: the shortest telephone numbers; shorter ones identify nobody
