"""A marker in every string and key of a JSON value in turn: who passes on what nobody read?"""

from __future__ import annotations

from collections.abc import Iterator

from promptward.exchange import JSON

PLANTED = "planted text, see?"


def planted(value: JSON) -> Iterator[tuple[str, JSON]]:
    """(what was replaced, copy of `value`) for each string and each key."""
    if isinstance(value, str):
        yield value, PLANTED
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for what, copy in planted(item):
                yield what, [*value[:index], copy, *value[index + 1 :]]
    elif isinstance(value, dict):
        for key, member in value.items():
            yield f"key {key}", {(PLANTED if k == key else k): v for k, v in value.items()}
            for what, copy in planted(member):
                yield what, {**value, key: copy}
