"""How a policy setting is declared: a frozen dataclass field with a documented, bounded type.

One declaration feeds everything that must agree: decoding (`policy.decode`), the JSON Schema
(`policy.json_schema`), Kong's schema and the reference page. `describe()` turns a dataclass into
a small neutral tree of nodes that those four walk.

    @dataclass(frozen=True, slots=True)
    class WindowSettings:
        type: Literal["fixed", "sliding"] = setting("How the limit refills.", default="fixed")
        duration: int = setting("Length of the window.", kind=Kind.DURATION, ge=1)

Supported types: bool, int, float, str, Literal, StrEnum, X | None, tuple[X, ...],
Mapping[str, X], another settings dataclass, a tagged union of settings dataclasses (each with a
`type: Literal[...]` field), and `JSON` for free values. A settings class may define
`problems(self) -> Iterable[tuple[str, str]]` (relative path, message) for rules across fields.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from promptward.exchange import JSON

_KEY = "promptward"


class Kind(Enum):
    """What a scalar means beyond its Python type."""

    PLAIN = "plain"
    DURATION = "duration"  # decoded to whole seconds from 90, "90s", "15m", "1h", "7d" or "PT1H"
    SHA256 = "sha256"  # 64 hexadecimal digits, lower-cased
    URL = "url"
    IDENTIFIER = "identifier"  # a letter or digit, then letters, digits, `.`, `_`, `-`; 64 at most
    HEADER = "header"  # an HTTP field name, lower-cased
    SECRET = "secret"  # noqa: S105 - a kind, not a secret; referenceable in Kong, never shown


@dataclass(frozen=True, slots=True)
class Spec:
    """Constraints and documentation of one setting (all bounds inclusive)."""

    doc: str
    kind: Kind = Kind.PLAIN
    ge: float | None = None
    le: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    one_or_many: bool = False  # of a list: one item may be written without the brackets


def setting(
    doc: str,
    *,
    kind: Kind = Kind.PLAIN,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    ge: float | None = None,
    le: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    one_or_many: bool = False,
) -> Any:
    """Declare one setting.

    Args:
        doc: one sentence for operators; goes into every schema and the reference page.
        kind: meaning beyond the type.
        default: value when absent; without one (and without a factory) the setting is required.
        default_factory: like default, for settings classes.
        ge: smallest number (of list items' or the scalar itself), inclusive.
        le: largest number, inclusive.
        min_length: fewest characters or items.
        max_length: most characters or items.
        one_or_many: of a list: one item may be written without the brackets.
    """
    spec = Spec(doc, kind, ge, le, min_length, max_length, one_or_many)
    return dataclasses.field(
        default=default,
        default_factory=default_factory,
        repr=kind is not Kind.SECRET,
        metadata={_KEY: spec},
    )


# --- the neutral tree ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scalar:
    """A bool, int, float or str; `choices` when it is an enumeration."""

    type: type
    choices: tuple[str, ...] = ()
    cast: Any = None  # StrEnum class to build from a choice, if any


@dataclass(frozen=True, slots=True)
class ListOf:
    item: Node


@dataclass(frozen=True, slots=True)
class MapOf:
    value: Node


@dataclass(frozen=True, slots=True)
class Free:
    """Any JSON value."""


@dataclass(frozen=True, slots=True)
class FieldNode:
    """One setting of a struct.

    Attributes:
        name: as written in the policy.
        node: its type.
        spec: its constraints and documentation.
        required: whether it must be present.
        optional: whether null means absent (`X | None`).
        default: the default as plain JSON; None when required or when it is a struct's own.
    """

    name: str
    node: Node
    spec: Spec
    required: bool
    optional: bool
    default: JSON


@dataclass(frozen=True, slots=True)
class Struct:
    cls: type
    doc: str
    fields: tuple[FieldNode, ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """A tagged union: the `type` field picks the struct."""

    variants: Mapping[str, Struct]


Node = Scalar | ListOf | MapOf | Free | Struct | OneOf


def describe(cls: type) -> Struct:
    """The node tree of a settings dataclass.

    Raises:
        TypeError: a field has an unsupported type or no `setting(...)`; our own bug.
    """
    return _described(cls)


@functools.cache  # one entry for each settings class; a policy is read a third faster
def _described(cls: type) -> Struct:
    hints = get_type_hints(cls)
    fields = []
    for item in dataclasses.fields(cls):
        spec = item.metadata.get(_KEY)
        if not isinstance(spec, Spec):
            raise TypeError(f"{cls.__name__}.{item.name} is not declared with setting()")
        inner, optional = _strip_none(hints[item.name])
        required = (
            item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        )
        fields.append(
            FieldNode(item.name, _node(inner), spec, required, optional, _plain_default(item))
        )
    doc = (cls.__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ")
    return Struct(cls, " ".join(doc.split()), tuple(fields))


def _strip_none(hint: Any) -> tuple[Any, bool]:
    if hint is JSON or get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    members = [a for a in get_args(hint) if a is not type(None)]
    optional = len(members) < len(get_args(hint))
    return (Union[tuple(members)] if len(members) > 1 else members[0]), optional  # noqa: UP007


def _node(hint: Any) -> Node:
    origin, args = get_origin(hint), get_args(hint)
    if hint is JSON or hint is Any:
        return Free()
    if origin is Literal:
        return Scalar(str, tuple(str(a) for a in args))
    if origin is tuple:
        return ListOf(_node(args[0]))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return MapOf(_node(args[1]))
    if origin in (Union, types.UnionType):
        return _union(args)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Scalar(str, tuple(str(m.value) for m in hint), hint)
    if hint in (bool, int, float, str):
        return Scalar(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return describe(hint)
    raise TypeError(f"unsupported setting type {hint!r}")


def _union(members: tuple[Any, ...]) -> Node:
    if any(get_origin(m) is list or m is dict for m in members):
        return Free()
    variants: dict[str, Struct] = {}
    for member in members:
        hint = typing.get_type_hints(member)["type"]
        for tag in get_args(hint):
            variants[str(tag)] = describe(member)
    return OneOf(variants)


def _plain_default(item: dataclasses.Field[Any]) -> JSON:
    value = item.default
    if item.default_factory is not dataclasses.MISSING:
        value = item.default_factory()
    if value is dataclasses.MISSING:
        return None
    return _plain(value)


def _plain(value: Any) -> JSON:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return typing.cast("JSON", value)
