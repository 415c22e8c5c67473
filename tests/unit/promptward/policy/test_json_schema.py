"""The JSON Schema says the same as the decoder, and the published file is current."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from promptward.errors import PolicyError
from promptward.policy import Policy
from promptward.policy.decode import decode
from promptward.policy.json_schema import json_schema
from promptward.testing.fakes import POLICY, policy_with

ROOT = Path(__file__).parents[4]
SCHEMA = json_schema(Policy)


def test_it_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_published_schema_is_current() -> None:
    published = json.loads((ROOT / "docs" / "policy.schema.json").read_text(encoding="utf-8"))
    assert published == SCHEMA, "run `make schema`"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests" / "conformance" / "policies").glob("*.yaml")), ids=str
)
def test_policies_of_the_repository_fit_the_schema(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), SCHEMA)


@pytest.mark.parametrize(
    "spec",
    [
        {"unknown": 1},
        {"mode": "of"},
        {"limits": {"max_json_depth": 3}},
        {"limits": {"max_body_bytes": "1"}},
        {"budgets": [{"id": "a b", "limit": 1}]},
        {"budgets": [{"id": "a"}]},
        {"checks": [{"id": "x", "type": "nope"}]},
        {"streaming": {"window_bytes": 1}},
    ],
)
def test_schema_and_decoder_refuse_the_same(spec: dict[str, Any]) -> None:
    document = json.loads(policy_with(**spec))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)
    with pytest.raises(PolicyError):
        decode(Policy, document)


def test_schema_and_decoder_accept_the_same() -> None:
    jsonschema.validate(POLICY, SCHEMA)
    decode(Policy, POLICY)


def test_every_setting_is_described() -> None:
    missing = [
        f"{name}.{field}"
        for name, definition in {**SCHEMA["$defs"], "Policy": SCHEMA}.items()
        for field, schema in definition.get("properties", {}).items()
        if not schema.get("description", "").endswith(".")
    ]
    assert missing == []
