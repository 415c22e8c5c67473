"""Kong's schema of `config`, generated from the settings the core decodes policies with.

What Kong's schema language can say, it says: types, ranges, choices, required, defaults,
descriptions, vault references for secrets. What it cannot (alternatives by `type`, rules across
fields) is checked when the instance starts; until that is right, every request is refused.

Source: kong/db/schema/metaschema.lua, observed with Kong 3.9 (no custom validators for external
plugins). `testing.kong_schema` has its rules: breaking one keeps the plugin out of Kong.
"""

from __future__ import annotations

from collections.abc import Mapping

from promptward.policy.model import Policy
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

KongField = dict[str, object]

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
# Lua patterns; anchored, as Kong matches anywhere otherwise.
_MATCHES = {
    Kind.SHA256: "^%x+$",
    Kind.URL: "^https?://[^%s/]+",
    Kind.IDENTIFIER: "^[%w][%w._-]*$",
    Kind.DURATION: "^%w+$",
}
# kong/db/schema/metaschema.lua: description = { len_min = 10, len_max = 500 }
_MIN_DESCRIPTION = 10
_MAX_DESCRIPTION = 500
# Kong wants both ends of a range.
_LARGEST = 2**53


def config_fields() -> list[dict[str, KongField]]:
    """Fields of `config`, as the list of one-key maps Kong's query wants."""
    policy = {field.name: field for field in describe(Policy).fields}
    return [
        *_POLICY_AS_TEXT,
        {"metadata": _record(policy["metadata"], tagged=False)},
        {"spec": _record(policy["spec"], tagged=False)},
        *_OPTIONS,
    ]


_POLICY_AS_TEXT: list[dict[str, KongField]] = [
    {
        "policy": {
            "type": "string",
            "len_min": 1,
            "referenceable": True,
            "description": "The whole policy as YAML or JSON text, instead of metadata and spec.",
        }
    },
    {
        "policy_file": {
            "type": "string",
            "match": "^/",
            "description": "Absolute path of a policy file that the plugin server can read.",
        }
    },
    {
        "secrets": {
            "type": "map",
            "keys": {"type": "string", "match": "^[%a_][%w_]*$"},
            "values": {"type": "string", "referenceable": True},
            "description": "Values of the ${NAME} references in the policy; may be vault"
            " references. An empty value is an error.",
        }
    },
]
_OPTIONS: list[dict[str, KongField]] = [
    {
        "ledger": {
            "type": "string",
            "len_min": 1,
            "referenceable": True,
            "description": "Where budgets are kept, for example redis://host/0; the plugin"
            " server's own ledger when absent.",
        }
    },
    {
        "stream_usage": {
            "type": "string",
            "one_of": ["estimate", "buffer"],
            "default": "estimate",
            "description": "Token budgets and event streams: settle at the estimate and let"
            " the stream pass, or hold it back to read its usage.",
        }
    },
    {
        "set_credential": {
            "type": "boolean",
            "default": False,
            "description": "Make the verified caller Kong's authenticated credential, so that"
            " plugins that run later (rate-limiting by credential) see it.",
        }
    },
]


def _record(field: FieldNode, *, tagged: bool) -> KongField:
    made = _field(field, tagged=tagged)
    made["required"] = False  # the policy may be given as text instead
    return made


def _field(field: FieldNode, *, tagged: bool) -> KongField:
    """One field. Inside a tagged union (`tagged`) nothing is required and nothing has a default:
    which fields exist depends on the tag, which Kong cannot express."""
    made = _type(field.node, field.spec, tagged=tagged)
    made["description"] = _described(field.spec.doc)
    if field.spec.kind is Kind.SECRET:
        made["referenceable"] = True
    if made["type"] == "record" and (tagged or field.optional):
        made["required"] = False  # else Kong fills an absent one in, and misses what it requires
    if tagged:
        return made
    if field.required and not field.optional:
        made["required"] = True
    default = _default(field)
    if default is not None:
        made["default"] = default
    if default == "":
        made["len_min"] = 0  # Kong takes strings of at least one byte unless told otherwise
    return made


def _described(doc: str) -> str:
    """`doc` at a length Kong accepts: with one it does not accept, Kong would not start."""
    if len(doc) < _MIN_DESCRIPTION:
        doc = f"Promptward: {doc}"
    return doc[:_MAX_DESCRIPTION]


def _default(field: FieldNode) -> object:
    """The default as Kong must hold it. Structs fill in their own."""
    if field.required or field.optional or isinstance(field.node, Struct | OneOf | Free):
        return None
    if isinstance(field.node, ListOf) and not isinstance(field.node.item, Scalar):
        return None
    if isinstance(field.node, MapOf):
        return None
    if field.spec.kind is Kind.DURATION and isinstance(field.default, int):
        return f"{field.default}s"
    return field.default


def _type(node: Node, spec: Spec, *, tagged: bool) -> KongField:
    match node:
        case Scalar():
            return _scalar(node, spec)
        case ListOf(item=item):
            inner = Spec(spec.doc, spec.kind, spec.ge, spec.le)
            return {
                "type": "array",
                "elements": _type(item, inner, tagged=tagged),
                **_lengths(spec),
            }
        case MapOf(value=value):
            return {
                "type": "map",
                "keys": {"type": "string"},
                "values": _type(value, Spec(spec.doc), tagged=tagged),
                **_lengths(spec),
            }
        case Struct(fields=fields):
            return {
                "type": "record",
                "fields": [{f.name: _field(f, tagged=tagged)} for f in fields],
            }
        case OneOf(variants=variants):
            return {"type": "record", "fields": _union(variants)}
        case Free():
            return {"type": "string"}


def _union(variants: Mapping[str, Struct]) -> list[dict[str, KongField]]:
    """The fields of all variants under one record; only the tag is required."""
    made: dict[str, KongField] = {
        "type": {"type": "string", "required": True, "one_of": sorted(variants)}
    }
    owners: dict[str, list[str]] = {}
    for tag, struct in variants.items():
        for field in struct.fields:
            if field.name == "type":
                continue
            candidate = _field(field, tagged=True)
            owners.setdefault(field.name, []).append(tag)
            made[field.name] = (
                _merge(made[field.name], candidate) if field.name in made else candidate
            )
    for name, tags in owners.items():
        if len(tags) < len(variants):
            made[name]["description"] = _described(
                f"{', '.join(tags)}: {made[name]['description']}"
            )
    return [{name: field} for name, field in made.items()]


def _merge(one: KongField, other: KongField) -> KongField:
    """A field that two variants share, as wide as both: the core checks the rest."""
    if one["type"] != other["type"]:
        return {"type": "string", "description": one["description"]}
    merged = {key: value for key, value in one.items() if other.get(key) == value}
    merged["description"] = one["description"]
    if "one_of" in one and "one_of" in other:
        choices = [*_list(one["one_of"]), *_list(other["one_of"])]
        merged["one_of"] = list(dict.fromkeys(choices))
    if one["type"] == "array":
        merged["elements"] = _merge_parts(one["elements"], other["elements"])
    if one["type"] == "record":
        merged["fields"] = one["fields"] if one["fields"] == other["fields"] else _both(one, other)
    return merged


def _merge_parts(one: object, other: object) -> object:
    assert isinstance(one, dict)
    assert isinstance(other, dict)
    parts = _merge({"description": "", **one}, {"description": "", **other})
    parts.pop("description", None)
    return parts


def _both(one: KongField, other: KongField) -> list[dict[str, KongField]]:
    fields: dict[str, KongField] = {}
    for record in (one, other):
        for entry in _list(record["fields"]):
            assert isinstance(entry, dict)
            for name, field in entry.items():
                fields[name] = _merge(fields[name], field) if name in fields else field
    return [{name: field} for name, field in fields.items()]


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


def _scalar(node: Scalar, spec: Spec) -> KongField:
    if spec.kind is Kind.DURATION:
        return {"type": "string", "match": _MATCHES[Kind.DURATION]}
    made: KongField = {"type": _TYPES[node.type]}
    if node.choices:
        made["one_of"] = list(node.choices)
    if spec.ge is not None or spec.le is not None:
        low = -_LARGEST if spec.ge is None else spec.ge
        high = _LARGEST if spec.le is None else spec.le
        made["between"] = [_number(low), _number(high)]
    if node.type is str and not node.choices:
        made.update(_lengths(spec))
        if spec.kind in _MATCHES:
            made["match"] = _MATCHES[spec.kind]
    return made


def _number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _lengths(spec: Spec) -> KongField:
    made: KongField = {}
    if spec.min_length is not None:
        made["len_min"] = spec.min_length
    if spec.max_length is not None:
        made["len_max"] = spec.max_length
    return made
