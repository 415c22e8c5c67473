"""Decode plain data into settings dataclasses, reporting every problem at once.

Each problem names its path, what was expected and, for a misspelt name, the nearest spelling.
Nothing is coerced: `"5"` is not a number and `yes` is not a string, because a policy that means
something else than it says is the failure this project exists to prevent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from promptward.errors import PolicyError
from promptward.settings import (
    FieldNode,
    Free,
    Kind,
    ListOf,
    MapOf,
    Node,
    OneOf,
    Scalar,
    Spec,
    Struct,
    describe,
)
from promptward.spelling import did_you_mean

T = TypeVar("T")

_INVALID = object()
_NO_SPEC = Spec("")
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
# RFC 9110 section 5.6.2 token, lower-cased; 64 characters is longer than any registered field
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,64}\*?")
# safe in HTTP structured fields (RFC 9651 strings), metric labels and file names
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
# ISO 8601 durations without months and years (their length varies), and the short form
_ISO_DURATION = re.compile(
    r"P(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?", re.ASCII
)
_SHORT_DURATION = re.compile(r"(\d{1,8})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def decode(cls: type[T], data: object, path: str = "") -> T:
    """Build `cls` from plain data.

    Raises:
        PolicyError: with one line per problem.
    """
    state = _State()
    value = state.struct(describe(cls), data, path)
    if state.problems:
        raise PolicyError(state.problems)
    assert isinstance(value, cls)
    return value


@dataclass(slots=True)
class _State:
    problems: list[str] = field(default_factory=list)

    def fail(self, path: str, message: str) -> Any:
        self.problems.append(f"{path or '(top level)'}: {message}")
        return _INVALID

    def struct(self, node: Struct, data: object, path: str) -> Any:
        if not isinstance(data, Mapping):
            return self.fail(path, f"expected a mapping, got {_describe(data)}")
        names = [f.name for f in node.fields]
        for key in data:
            if key not in names:
                hint = did_you_mean(str(key), names) or f"; known here: {_names(names)}"
                self.fail(_join(path, str(key)), f"unknown setting{hint}")
        values = {f.name: self.member(f, data, path) for f in node.fields}
        if any(v is _INVALID for v in values.values()):
            return _INVALID
        built = node.cls(**{k: v for k, v in values.items() if v is not _Absent})
        return built if not self.cross_checks(built, path) else _INVALID

    def cross_checks(self, built: Any, path: str) -> bool:
        check = getattr(built, "problems", None)
        found = list(check()) if check is not None else []
        for relative, message in found:
            self.fail(_join(path, relative), message)
        return bool(found)

    def member(self, item: FieldNode, data: Mapping[str, object], path: str) -> Any:
        here = _join(path, item.name)
        value = data.get(item.name)
        if item.name not in data or (value is None and not isinstance(item.node, Free)):
            if item.required and not item.optional:
                return self.fail(here, f"required: {_expected(item.node, item.spec)}")
            return None if item.required else _Absent
        return self.value(item.node, item.spec, value, here)

    def value(self, node: Node, spec: Spec, data: object, path: str) -> Any:
        match node:
            case Scalar():
                return self.scalar(node, spec, data, path)
            case ListOf():
                return self.sequence(node, spec, data, path)
            case MapOf():
                return self.mapping(node, spec, data, path)
            case Struct():
                return self.struct(node, data, path)
            case OneOf():
                return self.one_of(node, data, path)
            case Free():
                return data

    def sequence(self, node: ListOf, spec: Spec, data: object, path: str) -> Any:
        if spec.one_or_many and not isinstance(data, list | tuple):
            data = [data]
        if not isinstance(data, list | tuple):
            return self.fail(path, f"expected a list, got {_describe(data)}")
        if not _length_fits(spec, len(data)):
            return self.fail(path, f"expected {_expected(node, spec)}, got {len(data)} items")
        inner = Spec(spec.doc, spec.kind, spec.ge, spec.le)
        items = [self.value(node.item, inner, v, f"{path}[{i}]") for i, v in enumerate(data)]
        return _INVALID if any(v is _INVALID for v in items) else tuple(items)

    def mapping(self, node: MapOf, spec: Spec, data: object, path: str) -> Any:
        if not isinstance(data, Mapping):
            return self.fail(path, f"expected a mapping, got {_describe(data)}")
        if not _length_fits(spec, len(data)):
            return self.fail(path, f"expected {_expected(node, spec)}, got {len(data)} entries")
        out = {}
        for key, value in data.items():
            if not isinstance(key, str):
                out[str(key)] = self.fail(path, f"keys must be strings, got {_describe(key)}")
                continue
            out[key] = self.value(node.value, _NO_SPEC, value, _join(path, key))
        return _INVALID if any(v is _INVALID for v in out.values()) else out

    def one_of(self, node: OneOf, data: object, path: str) -> Any:
        if not isinstance(data, Mapping):
            return self.fail(path, f"expected a mapping, got {_describe(data)}")
        tag = data.get("type")
        if not isinstance(tag, str) or tag not in node.variants:
            known = sorted(node.variants)
            hint = did_you_mean(tag, known) if isinstance(tag, str) else ""
            return self.fail(_join(path, "type"), f"expected one of {_names(known)}{hint}")
        return self.struct(node.variants[tag], data, path)

    def scalar(self, node: Scalar, spec: Spec, data: object, path: str) -> Any:
        if spec.kind is Kind.DURATION:
            return self.duration(spec, data, path)
        ok = isinstance(data, node.type) and not (isinstance(data, bool) and node.type is not bool)
        if node.type is float and isinstance(data, int) and not isinstance(data, bool):
            ok, data = True, float(data)
        if not ok:
            return self.fail(path, f"expected {_expected(node, spec)}, got {_describe(data)}")
        if node.choices and data not in node.choices:
            hint = did_you_mean(str(data), node.choices)
            return self.fail(path, f"expected {_expected(node, spec)}{hint}")
        if isinstance(data, str):
            return self.text(node, spec, data, path)
        return self.bounded(node, spec, data, path)

    def bounded(self, node: Scalar, spec: Spec, data: Any, path: str) -> Any:
        too_small = spec.ge is not None and data < spec.ge
        too_large = spec.le is not None and data > spec.le
        if too_small or too_large or math.isnan(data):
            return self.fail(path, f"expected {_expected(node, spec)}, got {_number(data)}")
        return data

    def text(self, node: Scalar, spec: Spec, data: str, path: str) -> Any:
        if node.cast is not None:
            return node.cast(data)
        if not _length_fits(spec, len(data)):
            return self.fail(path, f"expected {_expected(node, spec)}, got {len(data)} characters")
        if spec.kind is Kind.SHA256:
            data = data.lower()
            if not re.fullmatch(r"[0-9a-f]{64}", data):
                return self.fail(path, "expected a SHA-256 digest as 64 hexadecimal digits")
        if spec.kind is Kind.HEADER:
            data = data.lower()
            if not _HEADER.fullmatch(data):
                return self.fail(path, "expected an HTTP header name")
        if spec.kind is Kind.IDENTIFIER and not _IDENTIFIER.fullmatch(data):
            return self.fail(
                path,
                "expected letters, digits, '.', '_' or '-' (64 at most)",
            )
        if spec.kind is Kind.URL and not re.match(r"https?://[^\s/]+", data):
            return self.fail(path, "expected an absolute http(s) URL")
        if spec.kind is Kind.SECRET and not data:
            return self.fail(path, "is empty: an unresolved secret reference?")
        return data

    def duration(self, spec: Spec, data: object, path: str) -> Any:
        seconds = duration_s(data)
        if seconds is None:
            return self.fail(
                path,
                'expected a duration: seconds, "90s", "15m", "1h", "7d" or ISO 8601 "PT1H",'
                f" got {_describe(data)}",
            )
        return self.bounded(Scalar(int), spec, seconds, path)


class _Absent:
    """Marks a setting that takes its default."""


def duration_s(data: object) -> int | None:
    """Whole seconds of a duration as policies write it; None when it is none."""
    if isinstance(data, bool):
        return None
    if isinstance(data, int):
        return data
    if not isinstance(data, str):
        return None
    if short := _SHORT_DURATION.fullmatch(data):
        return int(short[1]) * _SECONDS[short[2]]
    iso = _ISO_DURATION.fullmatch(data)
    if not iso or not any(iso.groups()):
        return None
    days, hours, minutes, seconds = (int(g or 0) for g in iso.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def _length_fits(spec: Spec, length: int) -> bool:
    at_least = spec.min_length is None or length >= spec.min_length
    return at_least and (spec.max_length is None or length <= spec.max_length)


def _expected(node: Node, spec: Spec) -> str:
    match node:
        case Scalar() if spec.kind is Kind.DURATION:
            return "a duration" + "".join(_bounds(spec, "", "s"))
        case Scalar() if node.choices:
            return f"one of {_names(node.choices)}"
        case Scalar():
            return _TYPE_NAMES[node.type] + "".join(_bounds(spec, "characters"))
        case ListOf():
            return "a list" + "".join(_bounds(spec, "items"))
        case OneOf():
            return f"a mapping whose type is one of {_names(sorted(node.variants))}"
        case _:
            return "a mapping"


def _bounds(spec: Spec, unit: str, suffix: str = "") -> Iterator[str]:
    if spec.ge is not None:
        yield f", at least {_number(spec.ge)}{suffix}"
    if spec.le is not None:
        yield f", at most {_number(spec.le)}{suffix}"
    if spec.min_length is not None:
        yield f", {spec.min_length} or more {unit}"
    if spec.max_length is not None:
        yield f", at most {spec.max_length} {unit}"


def _describe(data: object) -> str:
    # never the value itself: it may be a secret in the wrong place
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    if data is None:
        return "nothing"
    if isinstance(data, Mapping):
        return "a mapping"
    if isinstance(data, list | tuple):
        return "a list"
    return names.get(type(data), f"a {type(data).__name__}")


def _number(value: float) -> str:
    return f"{int(value):,}" if math.isfinite(value) and value == int(value) else f"{value:g}"


def _names(values: tuple[str, ...] | list[str]) -> str:
    return ", ".join(values)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name
