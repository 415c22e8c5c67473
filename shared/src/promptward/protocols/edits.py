"""Writing edited texts back into a document: values, and the object keys that count as text.

Pointers are those of `collect`: RFC 6901, plus `*N` for the member at position N of an object and a
final `#` for the text of a key. Neither can be mistaken for a name: only identifiers are spelt out.
"""

from __future__ import annotations

from collections.abc import Mapping

from promptward.errors import ExchangeError
from promptward.exchange import JSON
from promptward.jsonstrict import escape_token, set_pointers


def apply_edits(document: dict[str, JSON], edits: Mapping[str, str]) -> dict[str, JSON]:
    """A changed copy of `document`.

    Args:
        edits: pointer of a part -> its new text.

    Raises:
        ExchangeError: `ambiguous_key`: two keys of one object would become the same.
        KeyError: a pointer names no part.
    """
    values: dict[str, JSON] = {}
    keys: dict[str, str] = {}
    for pointer, text in edits.items():
        if pointer.endswith("#"):
            keys[_resolved(document, pointer[:-1])] = text
        else:
            values[_resolved(document, pointer)] = text
    changed = set_pointers(document, values)
    if keys:
        changed = _renamed(changed, "", keys)
    if not isinstance(changed, dict):
        raise KeyError("")
    return dict(changed) if changed is document else changed


def _resolved(document: JSON, pointer: str) -> str:
    """`pointer` with every `*N` replaced by the key at that position."""
    if "/*" not in pointer:
        return pointer
    tokens: list[str] = []
    value = document
    for token in pointer.split("/")[1:]:
        if isinstance(value, dict):
            key = list(value)[int(token[1:])] if token.startswith("*") else token
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
