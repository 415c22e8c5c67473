"""Redact: the entity's name in place of the value."""

from __future__ import annotations

from promptward.values import value_object


@value_object(frozen=True, slots=True)
class Redact:
    """Replace by `<ENTITY>`, the form Presidio's `replace` operator uses too."""

    def apply(self, entity: str, _value: str, /) -> str:
        return f"<{entity}>"
