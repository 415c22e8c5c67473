"""Writing edited texts back into a document: values, and the object keys that count as text.

A key's own text is addressed as its member's pointer followed by `#` (the notation of Relative
JSON Pointers); `collect` refuses documents in which that could name a member as well.
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
    keys = {p: t for p, t in edits.items() if p.endswith("#") and not _exists(document, p)}
    changed = set_pointers(document, {p: t for p, t in edits.items() if p not in keys})
    if keys:
        changed = _renamed(changed, "", {p[:-1]: t for p, t in keys.items()})
    if not isinstance(changed, dict):
        raise KeyError("")
    return dict(changed) if changed is document else changed


def _exists(document: JSON, pointer: str) -> bool:
    try:
        set_pointers(document, {pointer: None})
    except KeyError:
        return False
    return True


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
