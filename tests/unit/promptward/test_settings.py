"""The neutral tree that decoder, schemas and reference are made from."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from promptward.policy import Policy
from promptward.settings import Kind, ListOf, Scalar, Struct, describe, setting


def test_the_policy_can_be_described() -> None:
    root = describe(Policy)
    assert [f.name for f in root.fields] == ["apiVersion", "kind", "metadata", "spec"]
    spec = next(f for f in root.fields if f.name == "spec").node
    assert isinstance(spec, Struct)
    names = {f.name for f in spec.fields}
    assert {"identity", "authorization", "budgets", "checks", "streaming", "audit"} <= names


def test_types_and_defaults() -> None:
    @dataclass(frozen=True, slots=True)
    class Sample:
        """A sample.

        More about it.
        """

        name: str = setting("n", kind=Kind.IDENTIFIER)
        tags: tuple[str, ...] = setting("t", default=("a",))
        limit: int | None = setting("l", default=None)

    node = describe(Sample)
    assert node.doc == "A sample."
    name, tags, limit = node.fields
    assert (name.required, tags.required, limit.optional) == (True, False, True)
    assert isinstance(tags.node, ListOf)
    assert isinstance(limit.node, Scalar)
    assert tags.default == ["a"]


def test_a_field_without_setting_is_our_bug() -> None:
    @dataclass(frozen=True, slots=True)
    class Bad:
        name: str

    with pytest.raises(TypeError, match="not declared with setting"):
        describe(Bad)


def test_secrets_do_not_show_in_repr() -> None:
    @dataclass(frozen=True, slots=True)
    class Holder:
        key: str = setting("k", kind=Kind.SECRET)

    assert "hunter2" not in repr(Holder("hunter2"))
