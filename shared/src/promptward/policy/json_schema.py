"""JSON Schema (draft 2020-12) of the policy, generated from the settings it is decoded with."""

from __future__ import annotations

from typing import Any

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

_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_DURATION = {
    "anyOf": [
        {"type": "integer"},
        {"type": "string", "pattern": r"^(\d{1,8}[smhd]|P(\d+D)?(T(\d+H)?(\d+M)?(\d+S)?)?)$"},
    ]
}


def json_schema(cls: type) -> dict[str, Any]:
    """The schema of a settings dataclass, with `$defs` for nested ones."""
    defs: dict[str, Any] = {}
    root = _struct(describe(cls), defs)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": cls.__name__,
        **root,
        "$defs": dict(sorted(defs.items())),
    }


def _struct(node: Struct, defs: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "additionalProperties": False}
    if node.doc:
        schema["description"] = node.doc
    schema["properties"] = {f.name: _field(f, defs) for f in node.fields}
    required = [f.name for f in node.fields if f.required and not f.optional]
    if required:
        schema["required"] = required
    return schema


def _field(item: FieldNode, defs: dict[str, Any]) -> dict[str, Any]:
    schema = _node(item.node, item.spec, defs)
    schema = {"description": item.spec.doc, **schema}
    if not item.required and not isinstance(item.node, Struct) and item.default is not None:
        schema["default"] = item.default
    return schema


def _node(node: Node, spec: Spec, defs: dict[str, Any]) -> dict[str, Any]:
    match node:
        case Scalar():
            return _scalar(node, spec)
        case ListOf():
            inner = Spec(spec.doc, spec.kind, spec.ge, spec.le)
            item = _node(node.item, inner, defs)
            schema = {"type": "array", "items": item} | _bounds(spec, "minItems", "maxItems")
            return {"anyOf": [schema, item]} if spec.one_or_many else schema
        case MapOf():
            schema = {"type": "object", "additionalProperties": _node(node.value, Spec(""), defs)}
            return schema | _bounds(spec, "minProperties", "maxProperties")
        case Struct():
            return _ref(node, defs)
        case OneOf():
            return {"oneOf": [_ref(v, defs) for _, v in sorted(node.variants.items())]}
        case Free():
            return {}


def _ref(node: Struct, defs: dict[str, Any]) -> dict[str, Any]:
    name = node.cls.__name__
    if name not in defs:
        defs[name] = {}
        defs[name] = _struct(node, defs)
    return {"$ref": f"#/$defs/{name}"}


def _scalar(node: Scalar, spec: Spec) -> dict[str, Any]:
    if spec.kind is Kind.DURATION:
        return dict(_DURATION)
    schema: dict[str, Any] = {"type": _JSON_TYPES[node.type]}
    if node.choices:
        schema["enum"] = list(node.choices)
    if spec.ge is not None:
        schema["minimum"] = spec.ge
    if spec.le is not None:
        schema["maximum"] = spec.le
    if spec.kind is Kind.SHA256:
        schema["pattern"] = "^[0-9a-fA-F]{64}$"
    if spec.kind is Kind.IDENTIFIER:
        schema["pattern"] = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
    if spec.kind is Kind.URL:
        schema["format"] = "uri"
    return schema | _bounds(spec, "minLength", "maxLength")


def _bounds(spec: Spec, low: str, high: str) -> dict[str, Any]:
    bounds = {}
    if spec.min_length is not None:
        bounds[low] = spec.min_length
    if spec.max_length is not None:
        bounds[high] = spec.max_length
    return bounds
