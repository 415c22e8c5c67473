import json

import pytest

from promptward.errors import PolicyError
from promptward.policy import load_policy
from promptward_kong.config import front_options, own_config, read_config, with_policy_text

DOCUMENT = {
    "apiVersion": "promptward/v1",
    "kind": "AISecurityPolicy",
    "metadata": {"name": "p"},
    "spec": {"identity": {"allow_anonymous": True}, "authorization": {"default": "allow"}},
}
FIELDS = {"metadata": DOCUMENT["metadata"], "spec": DOCUMENT["spec"]}


def test_kongs_own_keys_do_not_distinguish_configurations():
    config = {
        "policy": "x",
        "__seq__": 3,
        "__plugin_id": "a",
        "$refs": {},
        "route_id": "r",
        "ledger": None,
    }
    assert own_config(config) == {"policy": "x"}


def test_text_and_file_are_taken_as_they_are(tmp_path):
    text = json.dumps(DOCUMENT)
    assert read_config({"policy": text}).policy_text == text
    path = tmp_path / "p.yaml"
    path.write_text(text, "utf-8")
    assert read_config({"policy_file": str(path)}).policy_text == text


def test_nested_fields_become_a_policy_document():
    made = read_config(FIELDS).policy_text
    assert json.loads(made) == DOCUMENT
    assert load_policy(made).ref.name == "p"
    assert read_config(json.loads(json.dumps(FIELDS))).policy_text == made


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        # Lua: an empty table is a list; null fields are absent; lists may come as {}
        ({"limits": []}, {"limits": {}}),
        ({"budgets": {}}, {"budgets": []}),
        (
            {"checks": [{"type": "pii", "id": "p", "entities": {}, "phase": None}]},
            {"checks": [{"type": "pii", "id": "p", "entities": []}]},
        ),
        # free JSON is configured as text
        (
            {
                "authorization": {
                    "rules": [
                        {
                            "id": "r",
                            "effect": "allow",
                            "when": {"claims": {"groups": '{"contains": "ml"}', "sub": "ann"}},
                        }
                    ]
                }
            },
            {
                "authorization": {
                    "rules": [
                        {
                            "id": "r",
                            "effect": "allow",
                            "when": {"claims": {"groups": {"contains": "ml"}, "sub": "ann"}},
                        }
                    ]
                }
            },
        ),
        # what is unknown stays, for the policy's own error message
        ({"mystery": {"a": []}}, {"mystery": {"a": []}}),
        ({"checks": [{"type": "mystery", "x": []}]}, {"checks": [{"type": "mystery", "x": []}]}),
    ],
)
def test_types_that_lua_lost_are_put_back(spec, expected):
    made = read_config({"metadata": {"name": "p"}, "spec": spec}).policy_text
    assert json.loads(made)["spec"] == expected


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "exactly one"),
        ({"policy": "x", "policy_file": "/x"}, "policy and policy_file"),
        ({"policy": "x", **FIELDS}, "policy and metadata and spec"),
        ({"policy": ""}, "config.policy: is empty"),
        ({"policy": 5}, "config.policy"),
        ({"policy_file": "/nonexistent"}, "FileNotFoundError"),
        ({"policy": "x", "secrets": {"A": "", "B": "b", "C": ""}}, "config.secrets.A"),
        ({"policy": "x", "ledger": ""}, "config.ledger"),
    ],
)
def test_what_cannot_be_right_is_an_error(config, reason):
    with pytest.raises(PolicyError, match=reason):
        read_config(config)


def test_an_unresolved_secret_inside_the_policy_is_an_error():
    spec = {
        **DOCUMENT["spec"],
        "identity": {
            "jwt": [
                {"issuer": "https://i", "audience": ["a"], "algorithms": ["HS256"], "secret": ""}
            ]
        },
    }
    with pytest.raises(PolicyError, match="secret"):
        load_policy(read_config({**FIELDS, "spec": spec}).policy_text)


def test_options_of_the_front():
    assert front_options({}) == front_options({"stream_usage": "estimate", "set_credential": False})
    options = front_options({"stream_usage": "buffer", "set_credential": True, "route_id": "r"})
    assert (options.buffer_streams, options.set_credential, options.one_route) == (True, True, True)


def test_a_policy_file_is_pinned_with_its_text(tmp_path):
    path = tmp_path / "p.yaml"
    config = {"policy_file": str(path), "ledger": "l"}
    assert with_policy_text(config) == config
    path.write_text("text", "utf-8")
    assert with_policy_text(config) == {"policy": "text", "ledger": "l"}
    both = config | {"policy": "other"}
    assert with_policy_text(both) == both
    assert with_policy_text({"policy": "x"}) == {"policy": "x"}
