"""The generated schema against the policy model, and against what Kong's metaschema accepts."""

import json
from pathlib import Path

import pytest

from promptward.errors import PolicyError
from promptward.policy.decode import decode
from promptward.policy.model import Policy
from promptward.settings import ListOf, OneOf, Struct, describe
from promptward_kong.config import own_config, read_config
from promptward_kong.plugin import BUFFERED, STREAMING, PromptwardPlugin
from promptward_kong.schema import config_fields
from promptward_kong.server import plugin_info
from promptward_kong.testing.kong_schema import (
    Configurations,
    definition_problems,
    info_problems,
)
from promptward_kong.testing.lua import load_schema, lua_match

ROOT = Path(__file__).parents[3]


def walk(fields, path=()):
    for entry in fields:
        assert len(entry) == 1, "a list of one-key maps"
        ((name, field),) = entry.items()
        yield from _walk_field(field, (*path, name))


def _walk_field(field, path):
    yield path, field
    if field["type"] == "record":
        yield from walk(field["fields"], path)
    for part in ("elements", "values", "keys"):
        if part in field:
            yield from _walk_field(field[part], (*path, part))


ALL = list(walk(config_fields()))


def find(*path):
    return next(field for at, field in ALL if at == path)


def test_kong_takes_both_plugins():
    for name in (STREAMING, BUFFERED):
        info = json.loads(json.dumps(plugin_info(PromptwardPlugin(name))))
        assert info_problems(info, lua_match()) == []


def test_kong_takes_the_gate():
    schema = load_schema(ROOT / "kong-plugins/promptward-gate/schema.lua")
    (config,) = (entry["config"] for entry in schema["fields"] if "config" in entry)
    assert config == {"type": "record", "fields": {}}  # Lua has one kind of empty table
    config["fields"] = []
    assert definition_problems(schema, lua_match()) == []


def test_every_named_field_is_described():
    for path, field in ALL:
        if path[-1] not in ("elements", "values", "keys", "type"):
            assert field["description"], path


def test_ranges_have_two_whole_ends():
    """metaschema.lua: `between` has exactly two elements; integers, so that every version agrees."""
    for path, field in ALL:
        if "between" in field:
            assert [type(end) for end in field["between"]] == [int, int], path


def test_it_is_plain_json_of_bounded_size():
    assert len(json.dumps(config_fields())) < 100_000


def test_every_setting_of_the_policy_is_a_field():
    """No setting is forgotten, at any depth, whatever checks are added to the core."""
    paths = {tuple(p for p in path if p not in ("elements", "values")) for path, _ in ALL}

    def check(node, path):
        match node:
            case Struct(fields=fields):
                for field in fields:
                    assert (*path, field.name) in paths, (*path, field.name)
                    check(field.node, (*path, field.name))
            case ListOf(item=item):
                check(item, path)
            case OneOf(variants=variants):
                for struct in variants.values():
                    check(struct, path)

    policy = describe(Policy)
    for field in policy.fields:
        if field.name in ("metadata", "spec"):
            check(field.node, (field.name,))


def test_secrets_may_be_vault_references():
    assert find("spec", "identity", "jwt", "elements", "secret")["referenceable"] is True
    assert find("secrets", "values")["referenceable"] is True
    assert find("policy")["referenceable"] is True


@pytest.mark.parametrize(
    ("path", "attributes"),
    [
        (
            ("spec", "limits", "max_json_depth"),
            {"type": "integer", "between": [4, 200], "default": 64},
        ),
        (("spec", "streaming", "mode"), {"one_of": ["window", "buffer", "passthrough"]}),
        (("spec", "budgets", "elements", "limit"), {"required": True}),
        (("metadata", "name"), {"type": "string", "required": True}),
        (("stream_usage",), {"one_of": ["estimate", "buffer"], "default": "estimate"}),
    ],
)
def test_what_a_setting_says_kong_enforces(path, attributes):
    field = find(*path)
    assert {name: field.get(name) for name in attributes} == attributes


def test_alternatives_are_one_record_whose_tag_is_required():
    fields = {
        next(iter(entry)): next(iter(entry.values()))
        for entry in find("spec", "checks", "elements")["fields"]
    }
    assert fields["type"]["required"] is True
    assert {"pii", "prompt_injection"} <= set(fields["type"]["one_of"])
    assert not any(
        "default" in field or field.get("required")
        for name, field in fields.items()
        if name != "type"
    )


HEAD = {"apiVersion": "promptward/v1", "kind": "AISecurityPolicy"}
SPECS = {
    "smallest": {"identity": {"allow_anonymous": True}, "authorization": {"default": "allow"}},
    "gateway identity": {
        "identity": {"gateway": {"methods": ["kong_consumer"]}},
        "authorization": {"rules": [{"id": "all", "effect": "allow"}]},
    },
    "api keys": {
        "identity": {"api_keys": {"keys": [{"id": "k", "sha256": "0" * 64}]}},
        "authorization": {"default": "allow"},
    },
    "parts": {
        "identity": {"allow_anonymous": True},
        "authorization": {"default": "allow"},
        "limits": {"max_tools": 1},
        "budgets": [
            {"id": "b", "limit": 5, "window": {"duration": "90s"}},
            {"id": "c", "limit": 5, "unit": "requests", "reservation": {"ttl_s": "5s"}},
        ],
        "checks": [
            {"id": "i", "type": "prompt_injection", "threshold": {"flag": 0.5, "block": 0.9}},
            {"id": "p", "type": "pii", "entities": [{"type": "PII"}]},
            {"id": "o", "type": "output"},
        ],
    },
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_kong_takes_a_policy_and_its_defaults_change_nothing(spec):
    schema = plugin_info(PromptwardPlugin(STREAMING))["Schema"]
    kong = Configurations(json.loads(json.dumps(schema)), lua_match())
    config = {"metadata": {"name": "x"}, "spec": spec}
    assert kong.problems(config) == []
    sent = kong.sent(config)
    assert sent["spec"] != spec
    filled = decode(Policy, json.loads(read_config(own_config(sent)).policy_text))
    assert filled == decode(Policy, {**HEAD, **config})


@pytest.mark.parametrize(
    "config",
    [
        {"metadata": {}},
        {"spec": {"budgets": [{"id": "b"}]}},
        {"metadata": {"name": "x"}, "spec": {"authorization": {}}, "set_credential": "no"},
        {"policy": ""},
        {"policy_file": "policy.yaml"},
        {"secrets": {"1": "x"}},
        {"stream_usage": "window"},
        {"polcy": "x"},
    ],
)
def test_kong_itself_refuses_what_its_schema_can_say(config):
    schema = plugin_info(PromptwardPlugin(STREAMING))["Schema"]
    assert Configurations(json.loads(json.dumps(schema)), lua_match()).problems(config)


def test_other_ways_to_give_a_policy_are_taken():
    schema = plugin_info(PromptwardPlugin(STREAMING))["Schema"]
    kong = Configurations(json.loads(json.dumps(schema)), lua_match())
    for config in (
        {"policy": "{vault://env/policy}"},
        {"policy_file": "/etc/p.yaml", "secrets": {"KEY": "{vault://env/key}"}},
    ):
        assert kong.problems(config) == []
        sent = kong.sent(config, {"{vault://env/policy}": "text", "{vault://env/key}": "value"})
        assert sent["$refs"] == {
            name: given for name, given in config.items() if "vault" in json.dumps(given)
        }
        assert not {"metadata", "spec"} & set(sent)


@pytest.mark.parametrize("found", [True, False])
def test_secrets_of_a_nested_policy_may_be_vault_references(found):
    schema = plugin_info(PromptwardPlugin(STREAMING))["Schema"]
    kong = Configurations(json.loads(json.dumps(schema)), lua_match())
    reference, secret = "{vault://env/secret}", "0123456789abcdef" * 2
    issuer = {"issuer": "https://issuer.test", "audience": ["a"], "algorithms": ["HS256"]}
    spec = {"identity": {"jwt": [{**issuer, "secret": reference}]}, "checks": []}
    config = {"metadata": {"name": "x"}, "spec": spec}
    assert kong.problems(config) == []
    sent = kong.sent(config, {reference: secret} if found else {})
    assert sent["spec"]["identity"]["jwt"][0]["$refs"] == {"secret": reference}
    document = json.loads(read_config(own_config(sent)).policy_text)
    if not found:
        with pytest.raises(PolicyError, match="secret"):
            decode(Policy, document)
        return
    (issuer,) = decode(Policy, document).spec.identity.jwt
    assert issuer.secret == secret
