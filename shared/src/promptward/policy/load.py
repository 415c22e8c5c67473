"""From policy text to a compiled policy, or to every reason why not.

The SHA-256 in every decision is that of the text as given, before secrets are put in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import yaml

from promptward.errors import PolicyError
from promptward.policy import json_document
from promptward.policy.compile import CompiledPolicy, compile_policy
from promptward.policy.decode import decode
from promptward.policy.model import Policy

# a policy is written by people: 1 MiB is hundreds of pages
MAX_POLICY_BYTES = 1 << 20
_MAX_DEPTH = 32
# a whole value "${NAME}" is replaced by the secret NAME; POSIX names of environment variables
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,127})\}", re.ASCII)


class UnparsableError(PolicyError):
    """The text is not even a YAML or JSON document."""


Secrets = Callable[[str], str | None]


def load_policy(text: str, secrets: Secrets | None = None) -> CompiledPolicy:
    """Read YAML or JSON text, decode, check and compile it.

    Args:
        text: the policy document.
        secrets: gives the value of a `${NAME}` reference, None when there is none.

    Raises:
        PolicyError: one line per problem.
    """
    model, digest = decode_policy(text, secrets)
    return compile_policy(model, digest)


def decode_policy(text: str, secrets: Secrets | None = None) -> tuple[Policy, str]:
    """The decoded policy and the SHA-256 of its text; see `load_policy`."""
    data = text.encode()
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyError(f"the policy is larger than {MAX_POLICY_BYTES} bytes")
    document = _parse(text)
    problems: list[str] = []
    document = _resolve(document, secrets or _no_secrets, "", problems, 0)
    if problems:
        raise PolicyError(problems)
    return decode(Policy, document), hashlib.sha256(data).hexdigest()


def _no_secrets(name: str) -> None:
    del name


def _parse(text: str) -> object:
    document = json_document.read(text, _MAX_DEPTH)
    return _parse_yaml(text) if document is json_document.NOT_TAKEN else document


def _parse_yaml(text: str) -> object:
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader, see below
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the document"
        what = getattr(error, "problem", None) or "not valid YAML"
        raise UnparsableError(f"{where}: {what}") from None
    except RecursionError:
        raise UnparsableError("the document is nested too deeply") from None


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses what reads differently from what it says.

    Duplicate keys, aliases and tags are errors, and plain scalars follow the YAML 1.2 core schema
    (section 10.3.2): in YAML 1.1 `mode: off` would be false, `1:30` ninety and `010` eight.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        refused = "aliases" if isinstance(event, yaml.AliasEvent) else ""
        if getattr(event, "tag", None) is not None:
            refused = "tags"
        if refused:
            raise yaml.constructor.ConstructorError(
                None, None, f"{refused} are not allowed in a policy", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is given twice", key_node.start_mark
                )
            seen.add(key if isinstance(key, str) else None)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"~|null|", ["~", "n", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,17})", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9]{1,17}\.[0-9]{0,17}|[0-9]{1,17})(?:[eE][-+]?[0-9]{1,3})?",
        "-+0123456789",
    ),
):
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), list(_first)
    )


def _resolve(value: Any, secrets: Secrets, path: str, problems: list[str], depth: int) -> Any:
    if depth > _MAX_DEPTH:
        problems.append(f"{path[:200]}: nested deeper than {_MAX_DEPTH}")
        return None
    if isinstance(value, dict):
        return {
            k: _resolve(v, secrets, f"{path}.{k}" if path else str(k), problems, depth + 1)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [
            _resolve(v, secrets, f"{path}[{i}]", problems, depth + 1) for i, v in enumerate(value)
        ]
    if not isinstance(value, str) or not (match := _REFERENCE.fullmatch(value)):
        return value
    secret = secrets(match[1])
    if not secret:
        problems.append(f"{path}: the secret {match[1]} is not set (or is empty)")
    return secret
