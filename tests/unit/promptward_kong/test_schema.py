"""The generated schema against the policy model, and against what Kong's metaschema accepts."""

import json

import pytest

from promptward.policy.decode import decode
from promptward.policy.model import Policy
from promptward.settings import ListOf, OneOf, Struct, describe
from promptward_kong.schema import config_fields

# kong/db/schema/metaschema.lua: attributes by type, as far as external plugins may use them
_COMMON = {"type", "required", "default", "description", "one_of", "referenceable"}
_ALLOWED = {
    "string": {"len_min", "len_max", "match"},
    "integer": {"between", "gt"},
    "number": {"between", "gt"},
    "boolean": set(),
    "array": {"elements", "len_min", "len_max"},
    "map": {"keys", "values", "len_min", "len_max"},
    "record": {"fields"},
}


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


def test_only_attributes_kong_knows_are_used():
    for path, field in ALL:
        extra = set(field) - _COMMON - _ALLOWED[field["type"]]
        assert not extra, (path, extra)


def test_every_named_field_is_described():
    for path, field in ALL:
        if path[-1] not in ("elements", "values", "keys", "type"):
            # metaschema.lua refuses other lengths, and Kong then does not start
            assert 10 <= len(field["description"]) <= 500, path


def test_ranges_have_two_whole_ends():
    """metaschema.lua: `between` has exactly two elements; integers, so that every version agrees."""
    for path, field in ALL:
        if "between" in field:
            assert [type(end) for end in field["between"]] == [int, int], path


def test_containers_say_what_they_hold():
    needed = {"array": {"elements"}, "map": {"keys", "values"}, "record": {"fields"}}
    for path, field in ALL:
        assert needed.get(field["type"], set()) <= set(field), path


def test_defaults_are_of_their_type_and_allowed():
    types = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list}
    for path, field in ALL:
        if "default" in field:
            default = field["default"]
            assert isinstance(default, types[field["type"]]), path
            if "one_of" in field:
                assert default in field["one_of"], path
            if "between" in field:
                low, high = field["between"]
                assert low <= default <= high, path


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


def test_kongs_defaults_change_no_policy():
    """A policy with every default filled in by Kong decodes to the same as without."""

    def fill(fields, value):
        out = dict(value)
        for entry in fields:
            ((name, field),) = entry.items()
            if name not in out and "default" in field:
                out[name] = field["default"]
            elif (
                name in out
                and field["type"] == "record"
                and "type" not in dict(*field["fields"][:1])
            ):
                out[name] = fill(field["fields"], out[name])
            elif name not in out and field["type"] == "record" and field.get("required"):
                out[name] = fill(field["fields"], {})
        return out

    head = {"apiVersion": "promptward/v1", "kind": "AISecurityPolicy", "metadata": {"name": "x"}}
    spec = {"identity": {"allow_anonymous": True}, "authorization": {"default": "allow"}}
    filled = fill(find("spec")["fields"], spec)
    assert filled != spec
    plain = decode(Policy, {**head, "spec": spec})
    assert decode(Policy, {**head, "spec": filled}) == plain
