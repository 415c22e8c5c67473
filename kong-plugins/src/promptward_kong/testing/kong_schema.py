"""What Kong makes of a plugin's schema, and of a configuration: its rules, without Kong.

`definition_problems` says why Kong would not load a plugin; `Configurations` fills defaults in and
validates as the Admin API does, and shows what the plugin server is sent afterwards.

The rules are those of Kong Gateway 3.9 (kong/db/schema: metaschema.lua for definitions, init.lua
for values, entity.lua for records), written anew. Stricter than Kong where Kong would let something
useless pass: a range with its ends swapped, a choice that its own field refuses, a null attribute.
Left out is what a definition that arrives as JSON cannot have: functions, entity checks, foreign
keys, shorthands; `is_regex` is not evaluated.

Four rules are easy to miss, and each has kept a plugin out of Kong:
* a default is validated like a value, and a string is at least one byte long unless `len_min` says
  otherwise;
* a record is required unless it says `required = false`, so an absent one is filled with its
  defaults and then misses what it requires;
* the length of a description is limited at both ends;
* a record that is given as `false` is an absent one.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

Field = dict[str, Any]
LuaMatch = Callable[[str, str], bool]
"""Whether `string.find(text, pattern)` finds something; raises for a malformed pattern."""

_SCALARS = ("string", "number", "integer", "boolean")
_CONTAINS: dict[str, tuple[str, ...]] = {
    "array": ("elements",),
    "set": ("elements",),
    "map": ("keys", "values"),
    "record": ("fields",),
}
_TYPES = (*_SCALARS, *_CONTAINS)
_NUMBERS = ("number", "integer")
_SIZED = ("array", "set", "string", "map")
# Attribute -> (type of its value, field types that may have it; none: all may).
_ATTRIBUTES: dict[str, tuple[str, tuple[str, ...]]] = {
    "type": ("string", ()),
    "required": ("boolean", ()),
    "description": ("string", ()),
    "examples": ("array", ()),
    "default": ("any", ()),
    "err": ("string", ()),
    "encrypted": ("boolean", ()),
    "referenceable": ("boolean", ()),
    "immutable": ("boolean", ()),
    "unique": ("boolean", ("string", "number", "integer")),
    "between": ("array", _NUMBERS),
    "eq": ("any", ()),
    "ne": ("any", ()),
    "gt": ("number", _NUMBERS),
    "len_eq": ("integer", _SIZED),
    "len_min": ("integer", _SIZED),
    "len_max": ("integer", _SIZED),
    "match": ("string", ("string",)),
    "not_match": ("string", ("string",)),
    "starts_with": ("string", ("string",)),
    "one_of": ("array", ("string", "number", "integer")),
    "not_one_of": ("array", ()),
    "contains": ("any", ("array", "set")),
    "is_regex": ("boolean", ("string",)),
    "timestamp": ("boolean", _NUMBERS),
    "uuid": ("boolean", ("string",)),
    "elements": ("field", ("array", "set")),
    "keys": ("field", ("map",)),
    "values": ("field", ("map",)),
    "fields": ("fields", ("record",)),
}
_DESCRIPTION_BYTES = (10, 500)
_PLUGIN_FIELDS = ("config", "protocols", "consumer", "consumer_group", "service", "route")
_PHASES = ("certificate", "rewrite", "access", "response", "preread", "log")
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9]+)?", re.ASCII)


def info_problems(info: Mapping[str, Any], lua_match: LuaMatch) -> list[str]:
    """Why Kong would not load the plugin that an answer to its query describes."""
    problems = []
    if not isinstance(info.get("Name"), str) or not info["Name"]:
        problems.append("Name: expected a string")
    if not _is_type("integer", info.get("Priority")):
        problems.append("Priority: expected an integer")
    if not isinstance(info.get("Version"), str) or not _VERSION.fullmatch(info["Version"]):
        problems.append("Version: expected x.y.z")
    unknown = [phase for phase in info.get("Phases", ()) if phase not in _PHASES]
    if unknown or not info.get("Phases"):
        problems.append(f"Phases: expected some of {_PHASES}, got {unknown}")
    schema = info.get("Schema", {})
    if schema.get("name") != info.get("Name"):
        problems.append("Schema.name: expected the plugin's name")
    return problems + definition_problems(schema, lua_match)


def definition_problems(schema: Mapping[str, Any], lua_match: LuaMatch) -> list[str]:
    """Why Kong would not take a plugin's schema; empty when it would.

    Args:
        schema: `name` and `fields`, as decoded from JSON.
    """
    unknown = sorted(set(schema) - {"name", "fields"})
    problems = [f"schema.{name}: unknown field" for name in unknown]
    if not isinstance(schema.get("name"), str) or not schema["name"]:
        problems.append("schema.name: expected a string")
    problems += _fields_problems(schema.get("fields"), "", lua_match)
    if problems:
        return problems
    for entry in schema["fields"]:
        ((name, field),) = entry.items()
        if name not in _PLUGIN_FIELDS:
            problems.append(f"{name}: not a field of plugins")
        if name == "config" and field["type"] != "record":
            problems.append("config: expected a record")
    return problems


def _fields_problems(fields: object, path: str, lua_match: LuaMatch) -> list[str]:
    if not isinstance(fields, list):
        return [f"{path}: fields must be an array"]
    problems: list[str] = []
    seen: set[str] = set()
    for entry in fields:
        if not isinstance(entry, dict) or len(entry) != 1:
            problems.append(f"{path}: each entry of fields is a map with one key")
            continue
        ((name, field),) = entry.items()
        at = f"{path}.{name}".lstrip(".")
        if not name or name in seen:
            problems.append(f"{at}: named twice, or not at all")
        seen.add(name)
        problems += _field_problems(field, at, lua_match)
    return problems


def _field_problems(field: object, path: str, lua_match: LuaMatch) -> list[str]:
    if not isinstance(field, dict):
        return [f"{path}: expected a table"]
    kind = field.get("type")
    if kind not in _TYPES:
        return [f"{path}: type: expected one of {_TYPES}"]
    problems = [
        f"{path}: field of type {kind} must declare {name}"
        for name in _CONTAINS.get(kind, ())
        if name not in field
    ]
    for name, value in field.items():
        problems += _attribute_problems(kind, name, value, path, lua_match)
    return problems or list(_sense_problems(field, path, lua_match))


def _attribute_problems(
    kind: str, name: str, value: object, path: str, lua_match: LuaMatch
) -> list[str]:
    if name not in _ATTRIBUTES:
        return [f"{path}: {name}: unknown field"]
    wanted, allowed = _ATTRIBUTES[name]
    if allowed and kind not in allowed:
        return [f"{path}: field of type {kind} cannot have attribute {name}"]
    if wanted == "field":
        return _field_problems(value, f"{path}.{name}", lua_match)
    if wanted == "fields":
        return _fields_problems(value, path, lua_match)
    if value is None or (wanted != "any" and not _is_type(wanted, value)):
        return [f"{path}: {name}: expected a {wanted}"]
    if wanted == "array" and isinstance(value, list) and None in value:
        return [f"{path}: {name}: required field missing"]
    if value == "" and wanted == "string":
        return [f"{path}: {name}: length must be at least 1"]
    return []


def _sense_problems(field: Field, path: str, lua_match: LuaMatch) -> Iterator[str]:
    """Rules about the values of attributes."""
    low, high = _DESCRIPTION_BYTES
    if "description" in field and not low <= _length(field["description"]) <= high:
        yield f"{path}: description: {low} to {high} bytes"
    between = field.get("between")
    if between is not None and not (
        len(between) == 2 and all(_is_type("number", end) for end in between)
    ):
        yield f"{path}: between: expected two numbers"
        return
    if between is not None and between[0] > between[1]:
        yield f"{path}: between: nothing is between {between}"
    for name in ("match", "not_match"):
        if name in field and not _is_pattern(field[name], lua_match):
            yield f"{path}: {name}: not a Lua pattern"
            return
    for choice in field.get("one_of", ()):
        yield from _problems({**field, "one_of": [choice]}, choice, f"{path}: one_of", lua_match)
    if "default" in field:
        filled = _filled(field, copy.deepcopy(field["default"]))
        yield from _problems(field, filled, f"{path}: default", lua_match)


def _is_pattern(pattern: str, lua_match: LuaMatch) -> bool:
    try:
        lua_match("a", pattern)
    except Exception:  # noqa: BLE001 - whatever the Lua at hand raises
        return False
    return True


class Configurations:
    """Configurations of one plugin.

    Args:
        schema: a definition without problems.
    """

    def __init__(self, schema: Mapping[str, Any], lua_match: LuaMatch) -> None:
        fields = copy.deepcopy(schema["fields"])
        (self._config,) = (entry["config"] for entry in fields if "config" in entry)
        _require_records(self._config)
        self._lua_match = lua_match

    def problems(self, config: Mapping[str, Any]) -> list[str]:
        """What the Admin API would answer to this `config`; empty when it takes it."""
        filled = _filled(self._config, copy.deepcopy(dict(config)))
        return _problems(self._config, filled, "config", self._lua_match)

    def sent(
        self, config: Mapping[str, Any], vault: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, Any]:
        """What the plugin server gets for a `config` without problems.

        Args:
            config: what the Admin API was given.
            vault: secrets by their references; any other reference is an empty string.
        """
        filled = _filled(self._config, copy.deepcopy(dict(config)))
        sent: dict[str, Any] = _selected(self._config, filled, vault)
        return sent


def _require_records(record: Field) -> None:
    record.setdefault("required", True)
    for _, field in _named(record):
        if field["type"] == "record":
            _require_records(field)  # but not those inside arrays and maps


def _named(record: Field) -> Iterator[tuple[str, Field]]:
    for entry in record["fields"]:
        yield from entry.items()


_ABSENT = object()


def _filled(field: Field, value: Any) -> Any:
    """`value` with the defaults of what it lacks; None is Kong's null."""
    kind = field["type"]
    if value is _ABSENT:
        if "default" in field:
            return copy.deepcopy(field["default"])
        if not field.get("required"):
            return None
        return _filled(field, {}) if kind == "record" else _ABSENT
    if value is False and kind == "record":
        return _filled(field, _ABSENT)
    if value == [] and kind in ("record", "map"):
        value = {}  # Lua has one kind of empty table
    if kind == "record" and isinstance(value, dict):
        for name, inner in _named(field):
            filled = _filled(inner, value.get(name, _ABSENT))
            if filled is not _ABSENT:
                value[name] = filled
    elif kind in ("array", "set") and isinstance(value, list):
        return [_filled(field["elements"], item) for item in value]
    elif kind == "map" and isinstance(value, dict):
        return {name: _filled(field["values"], item) for name, item in value.items()}
    return value


def _selected(field: Field, value: Any, vault: Mapping[str, str]) -> Any:
    """`value` as it is read back: nulls and forbidden empty strings are not there, secrets are.

    A record, at any depth, has the references of its own fields beside them, as `$refs`.
    """
    match value:
        case dict() if field["type"] == "record":
            fields = dict(_named(field))
            given = {
                name: item
                for name, item in value.items()
                if item is not None and not (item == "" and fields[name].get("len_min", 1) > 0)
            }
            sent = {name: _selected(fields[name], item, vault) for name, item in given.items()}
            refs = {name: _references(fields[name], item) for name, item in given.items()}
            found = {name: references for name, references in refs.items() if references}
            return {**sent, "$refs": found} if found else sent
        case dict():
            return {name: _selected(field["values"], item, vault) for name, item in value.items()}
        case list():
            return [_selected(field["elements"], item, vault) for item in value]
        case str() if field.get("referenceable") and _is_reference(value):
            return vault.get(value, "")
    return value


def _references(field: Field, value: Any) -> Any:
    """What Kong notes of a field: a reference, or those among its values."""
    match value:
        case str() if field.get("referenceable") and _is_reference(value):
            return value
        case dict() if field["type"] == "map" and field["values"].get("referenceable"):
            return {name: item for name, item in value.items() if _is_reference(item)}
        case list() if field["elements"].get("referenceable"):
            # Lua's table by position; with gaps it is a map in JSON.
            return {str(at): item for at, item in enumerate(value, 1) if _is_reference(item)}
    return None


def _problems(field: Field, value: Any, path: str, lua_match: LuaMatch) -> list[str]:
    """Why `value` is not valid; None is Kong's null."""
    if value is None:
        return [f"{path}: required field missing"] if field.get("required") else []
    if not _is_type(field["type"], value):
        return [f"{path}: expected a {field['type']}"]
    problems: list[str] = []
    match field["type"]:
        case "record":
            problems += _record_problems(field, value, path, lua_match)
        case "array" | "set":
            elements = {**field["elements"], "required": True}
            for index, item in enumerate(value):
                problems += _problems(elements, item, f"{path}[{index}]", lua_match)
        case "map":
            for name, item in value.items():
                for part, inner in (("keys", name), ("values", item)):
                    needed = {**field[part], "required": True}
                    problems += _problems(needed, inner, f"{path}.{name}", lua_match)
    return problems or list(_validator_problems(field, value, path, lua_match))


def _record_problems(
    field: Field, value: dict[str, Any], path: str, lua_match: LuaMatch
) -> list[str]:
    fields = dict(_named(field))
    problems = []
    for name, item in value.items():
        if name in fields:
            problems += _problems(fields[name], item, f"{path}.{name}", lua_match)
        else:
            problems.append(f"{path}.{name}: unknown field")
    problems += [
        f"{path}.{name}: required field missing"
        for name, inner in fields.items()
        if inner.get("required") and name not in value
    ]
    return problems


def _validator_problems(field: Field, value: Any, path: str, lua_match: LuaMatch) -> Iterator[str]:
    if field["type"] == "string":
        if field.get("referenceable") and _is_reference(value):
            return
        field = {"len_min": 1, **field}
    for name, holds in _VALIDATORS.items():
        if name in field and not holds(value, field[name]):
            yield f"{path}: {name} {field[name]}: is not so for {value!r}"
    if "match" in field and not lua_match(value, field["match"]):
        yield f"{path}: invalid value: {value}"
    if "not_match" in field and lua_match(value, field["not_match"]):
        yield f"{path}: invalid value: {value}"


def _is_type(kind: str, value: object) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            return whole and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "array" | "set":
            return isinstance(value, list) or value == {}
    return isinstance(value, dict) or value == []


def _length(value: object) -> int:
    """Length as Lua counts it: bytes of a string, items of a container; 0 of a number."""
    if isinstance(value, str):
        return len(value.encode())
    return len(value) if isinstance(value, list | dict) else 0


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and value.startswith("{vault://") and value.endswith("}")


_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
# Attribute -> whether a value has it. Kong looks at some only for being there.
_VALIDATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, wanted: bool(value == wanted),
    "ne": lambda value, unwanted: bool(value != unwanted),
    "one_of": lambda value, choices: value in choices,
    "not_one_of": lambda value, choices: value not in choices,
    "gt": lambda value, limit: bool(value > limit),
    "timestamp": lambda value, _: bool(value > 0),
    "uuid": lambda value, _: _UUID.fullmatch(value) is not None,
    "between": lambda value, ends: bool(ends[0] <= value <= ends[1]),
    "len_eq": lambda value, length: _length(value) == length,
    "len_min": lambda value, length: _length(value) >= length,
    "len_max": lambda value, length: _length(value) <= length,
    "starts_with": lambda value, start: value.startswith(start),
    "contains": lambda value, item: item in value,
}
