"""Value objects that are made for every request: frozen to the type checker, cheap at run time.

A frozen dataclass sets each field through `object.__setattr__`, which is four times as slow as an
assignment and was 7 % of a request. Here only mypy forbids the assignment; objects still compare
and hash by their fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as value_object
else:
    from dataclasses import dataclass

    def value_object(*, frozen: bool, slots: bool):
        """A dataclass that compares and hashes by its fields; `frozen` is mypy's to enforce."""
        return dataclass(slots=slots, unsafe_hash=frozen)


__all__ = ["value_object"]
