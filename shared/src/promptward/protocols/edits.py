"""Writing edited texts back into a document: values, and the object keys that count as text.

Pointers are those of `collect`: RFC 6901, plus `*N` for the member at position N of an object and a
final `#` for the text of a key. Neither can be mistaken for a name: only identifiers are spelt out.
"""

from __future__ import annotations

from collections.abc import Mapping

from promptward.errors import ExchangeError
from promptward.exchange import JSON
from promptward.jsonstrict import escape_token, set_pointers


class Keys:
    """Finds the keys that pointer tokens stand for; for the time that a document lives.

    The keys of an object are listed once, or an object of many would cost their square.
    """

    __slots__ = ("_listed",)

    def __init__(self) -> None:
        self._listed: dict[int, list[str]] = {}  # by id of the object, which the document holds

    def key(self, owner: dict[str, JSON], token: str) -> str:
        """The key of `owner` that `token` names; `*3` is its fourth."""
        if not token.startswith("*"):
            return token
        listed = self._listed.get(id(owner))
        if listed is None:
            listed = self._listed[id(owner)] = list(owner)
        return listed[int(token[1:])]


def apply_edits(document: dict[str, JSON], edits: Mapping[str, str]) -> dict[str, JSON]:
    """A changed copy of `document`.

    Args:
        edits: pointer of a part -> its new text.

    Raises:
        ExchangeError: `ambiguous_key`: two keys of one object would become the same.
        KeyError: a pointer names no part.
    """
    values: dict[str, JSON] = {}
    names: dict[str, str] = {}
    keys = Keys()
    for pointer, text in edits.items():
        if pointer.endswith("#"):
            names[_resolved(document, pointer[:-1], keys)] = text
        else:
            values[_resolved(document, pointer, keys)] = text
    changed = set_pointers(document, values)
    if names:
        changed = _renamed(changed, "", names)
    if not isinstance(changed, dict):
        raise KeyError("")
    return dict(changed) if changed is document else changed


def _resolved(document: JSON, pointer: str, keys: Keys) -> str:
    """`pointer` with every `*N` replaced by the key at that position."""
    if "/*" not in pointer:
        return pointer
    tokens: list[str] = []
    value = document
    for token in pointer.split("/")[1:]:
        if isinstance(value, dict):
            key = keys.key(value, token)
            value = value[key]
            tokens.append(escape_token(key))
        elif isinstance(value, list):
            value = value[int(token)]
            tokens.append(token)
        else:
            raise KeyError(pointer)
    return "".join(f"/{token}" for token in tokens)


def _renamed(value: JSON, pointer: str, names: Mapping[str, str]) -> JSON:
    """`value` with every member named in `names` (old pointer -> new key) renamed, order kept."""
    if isinstance(value, list):
        return [_renamed(item, f"{pointer}/{index}", names) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    renamed: dict[str, JSON] = {}
    for key, member in value.items():
        inner = f"{pointer}/{escape_token(key)}"
        new_key = names.get(inner, key)
        if new_key in renamed:
            raise ExchangeError("ambiguous_key", "two keys of one object would become the same")
        renamed[new_key] = _renamed(member, inner, names)
    return renamed
