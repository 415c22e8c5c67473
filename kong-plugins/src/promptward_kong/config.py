"""From what Kong sends as configuration to policy text and options.

Kong's tables lose types on the way through Lua and JSON: null fields are absent, an empty map and
an empty list look the same, an unresolved vault reference is an empty string. This file puts them
back, guided by the policy model; what is wrong is a PolicyError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from promptward.errors import PolicyError
from promptward.exchange import JSON
from promptward.policy.load import MAX_POLICY_BYTES
from promptward.policy.model import API_VERSION, KIND, Policy
from promptward.settings import Free, ListOf, MapOf, Node, OneOf, Scalar, Struct, describe

# Keys Kong adds to a configuration (runloop/plugins_iterator.lua).
_KONG_KEYS = frozenset({"route_id", "service_id", "consumer_id", "consumer_group_id"})
# Kong notes here which fields of a record, at any depth, were vault references
# (kong/db/schema/init.lua, process_auto_fields).
_REFERENCES = "$refs"


@dataclass(frozen=True, slots=True)
class InstanceConfig:
    """A configuration, understood.

    Attributes:
        policy_text: YAML or JSON.
        secrets: values of the `${NAME}` references.
        ledger: URL, or empty for the server's own.
    """

    policy_text: str
    secrets: Mapping[str, str]
    ledger: str


@dataclass(frozen=True, slots=True)
class FrontOptions:
    """The part of a configuration the front acts on.

    Attributes:
        buffer_streams: hold event streams back to read their usage.
        set_credential: tell Kong who the caller is.
        one_route: the plugin is configured on a route, not on a service or globally.
    """

    buffer_streams: bool
    set_credential: bool
    one_route: bool


def own_config(config: Mapping[str, object]) -> dict[str, object]:
    """`config` without the keys Kong adds: what identifies equal configurations."""
    return {
        name: value
        for name, value in config.items()
        if not name.startswith(("__", "$")) and name not in _KONG_KEYS and value is not None
    }


def with_policy_text(config: dict[str, object]) -> dict[str, object]:
    """`config` with the text of its policy file in place of the path; as it is when the file
    cannot be read or is not the only policy given (the engine's error then says what)."""
    path = config.get("policy_file")
    if not isinstance(path, str) or {"policy", "metadata", "spec"} & set(config):
        return config
    try:
        text = _read_file(Path(path))
    except PolicyError:
        return config
    return {name: value for name, value in config.items() if name != "policy_file"} | {
        "policy": text
    }


def front_options(config: Mapping[str, object]) -> FrontOptions:
    """Options with their defaults. Kong's schema has checked them."""
    return FrontOptions(
        buffer_streams=config.get("stream_usage") == "buffer",
        set_credential=config.get("set_credential") is True,
        one_route=isinstance(config.get("route_id"), str),
    )


def read_config(config: Mapping[str, object]) -> InstanceConfig:
    """What the engine needs.

    Raises:
        PolicyError: not exactly one policy is given, or a secret is empty.
    """
    given = [n for n in ("policy", "policy_file") if n in config]
    if "spec" in config or "metadata" in config:
        given.append("metadata and spec")
    if len(given) != 1:
        raise PolicyError(
            "config: expected exactly one of policy, policy_file, or metadata and spec; got "
            + (" and ".join(given) or "none")
        )
    problems = _empty_secrets(config)
    if problems:
        raise PolicyError(problems)
    return InstanceConfig(
        _policy_text(config),
        {str(k): str(v) for k, v in _mapping(config.get("secrets")).items()},
        str(config.get("ledger", "")),
    )


def _policy_text(config: Mapping[str, object]) -> str:
    if "policy" in config:
        return _text(config["policy"], "config.policy")
    if "policy_file" in config:
        return _read_file(Path(_text(config["policy_file"], "config.policy_file")))
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        **cast("dict[str, JSON]", restore(describe(Policy), _fields(config))),
    }
    # Sorted, so that equal configurations give equal text and so equal SHA-256.
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _fields(config: Mapping[str, object]) -> dict[str, object]:
    return {name: config[name] for name in ("metadata", "spec") if name in config}


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise PolicyError(f"{path}: is empty: an unresolved vault reference?")
    return value


def _read_file(path: Path) -> str:
    try:
        data = path.read_bytes()[: MAX_POLICY_BYTES + 1]
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"config.policy_file: cannot be read: {type(error).__name__}") from None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _empty_secrets(config: Mapping[str, object]) -> list[str]:
    message = "is empty: an unresolved vault reference?"
    problems = [
        f"config.secrets.{name}: {message}"
        for name, value in _mapping(config.get("secrets")).items()
        if not value
    ]
    if config.get("ledger") == "":
        problems.append(f"config.ledger: {message}")
    return problems


def restore(node: Node, value: object) -> object:
    """`value` as the policy document would have it."""
    match node:
        case Struct(fields=fields):
            nodes = {f.name: f.node for f in fields}
            return _restore_fields(nodes, value)
        case OneOf(variants=variants):
            tag = _mapping(value).get("type")
            variant = variants.get(tag) if isinstance(tag, str) else None
            return restore(variant, value) if variant is not None else value
        case ListOf(item=item):
            if not isinstance(value, list):
                return [] if value == {} else value
            return [restore(item, v) for v in value]
        case MapOf(value=inner):
            if not isinstance(value, dict):
                return {} if value == [] else value
            return {k: restore(inner, v) for k, v in value.items() if v is not None}
        case Free():
            return _free(value)
        case Scalar():
            return value


def _restore_fields(nodes: Mapping[str, Node], value: object) -> object:
    if not isinstance(value, dict):
        return {} if value == [] else value
    return {
        name: restore(nodes[name], item) if name in nodes else item
        for name, item in value.items()
        if item is not None and name != _REFERENCES
    }


def _free(value: object) -> object:
    """Free JSON is configured as a string: JSON text, or the string itself when it is no JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
