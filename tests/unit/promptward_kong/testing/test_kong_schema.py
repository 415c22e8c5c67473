"""Kong's rules, on small definitions: each refusal was read in Kong's own source or seen in Kong."""

import pytest

from promptward_kong.testing.kong_schema import (
    Configurations,
    definition_problems,
    info_problems,
)
from promptward_kong.testing.lua import lua_match

MATCH = lua_match()
DESCRIPTION = "Ten bytes or more."


def schema(**fields):
    config = {"type": "record", "fields": [{name: field} for name, field in fields.items()]}
    return {"name": "p", "fields": [{"config": config}]}


def problems(**fields):
    return definition_problems(schema(**fields), MATCH)


def configurations(**fields):
    assert problems(**fields) == []
    return Configurations(schema(**fields), MATCH)


@pytest.mark.parametrize(
    "field",
    [
        {"type": "string"},
        {"type": "string", "default": "a", "one_of": ["a", "b"], "description": DESCRIPTION},
        {"type": "string", "default": "", "len_min": 0},
        {"type": "string", "match": "^%w+$", "default": "5s"},
        {"type": "string", "referenceable": True, "default": "{vault://env/x}", "match": "^x$"},
        {"type": "integer", "between": [0, 5], "default": 5},
        {"type": "number", "between": [0, 0.5], "default": 0.5},
        {"type": "number", "gt": 0},
        {"type": "boolean", "default": False},
        {"type": "array", "elements": {"type": "string"}, "default": []},
        {"type": "set", "elements": {"type": "string", "one_of": ["a"]}, "default": ["a"]},
        {"type": "map", "keys": {"type": "string"}, "values": {"type": "integer"}},
        {"type": "record", "fields": [{"type": {"type": "string"}}]},
    ],
)
def test_what_kong_takes(field):
    assert problems(a=field) == []


@pytest.mark.parametrize(
    "field",
    [
        {},
        {"type": "text"},
        {"type": "foreign"},
        {"type": "function"},
        {"type": "string", "defaul": "a"},
        {"type": "string", "default": ""},
        {"type": "string", "default": 5},
        {"type": "string", "default": None},
        {"type": "string", "default": "abc", "len_max": 2},
        {"type": "string", "default": "ü", "len_max": 1},
        {"type": "string", "default": "c", "one_of": ["a", "b"]},
        {"type": "string", "default": "a b", "match": "^%w+$"},
        {"type": "string", "match": "%"},
        {"type": "string", "match": "[a"},
        {"type": "string", "match": ""},
        {"type": "string", "between": [1, 2]},
        {"type": "string", "elements": {"type": "string"}},
        {"type": "string", "required": "yes"},
        {"type": "string", "description": "Too short"},
        {"type": "string", "description": "x" * 501},
        {"type": "string", "description": "ü" * 251},
        {"type": "string", "len_min": 1.5},
        {"type": "string", "one_of": ["a", 5]},
        {"type": "string", "one_of": ["a", None]},
        {"type": "string", "gt": 5},
        {"type": "integer", "len_min": 5, "default": 5},
        {"type": "integer", "starts_with": "5", "default": 5},
        {"type": "integer", "between": ["0", 5], "default": 5},
        {"type": "string", "default": "a", "eq": "b"},
        {"type": "string", "default": "a", "uuid": True},
        {"type": "boolean", "one_of": [True]},
        {"type": "boolean", "default": "true"},
        {"type": "integer", "default": 1.5},
        {"type": "integer", "default": True},
        {"type": "integer", "between": [0, 5], "default": 6},
        {"type": "integer", "between": [5, 0]},
        {"type": "integer", "between": [5]},
        {"type": "integer", "len_eq": 2},
        {"type": "integer", "match": "^5"},
        {"type": "array"},
        {"type": "array", "elements": {"type": "string"}, "default": [""]},
        {"type": "array", "elements": {"type": "string"}, "one_of": ["a"]},
        {"type": "array", "elements": {"description": DESCRIPTION}},
        {"type": "array", "elements": {"type": "string", "description": "short"}},
        {"type": "map", "keys": {"type": "string"}},
        {"type": "map", "keys": {"type": "string"}, "values": {"type": "record"}},
        {"type": "record"},
        {"type": "record", "fields": {"a": {"type": "string"}}},
        {"type": "record", "fields": [{}]},
        {"type": "record", "fields": [{"a": {"type": "string"}, "b": {"type": "string"}}]},
        {"type": "record", "fields": [{"a": {"type": "string"}}, {"a": {"type": "string"}}]},
        {"type": "record", "fields": [{"a": "string"}]},
        {"type": "record", "fields": [{"a": {"type": "integer", "match": "a"}}]},
    ],
)
def test_what_kong_does_not_take(field):
    assert problems(a=field)


def test_only_fields_that_plugins_have_are_taken():
    extra = schema(a={"type": "string"})
    extra["fields"].append({"settings": {"type": "record", "fields": []}})
    assert definition_problems(extra, MATCH) == ["settings: not a field of plugins"]
    array = {"name": "p", "fields": [{"config": {"type": "array", "elements": {"type": "string"}}}]}
    assert definition_problems(array, MATCH) == ["config: expected a record"]
    assert definition_problems({"name": "p", "fields": [], "priority": 5}, MATCH)


@pytest.mark.parametrize("name", [None, "", 5])
def test_a_definition_has_a_name(name):
    named = {**schema(a={"type": "string"}), "name": name}
    assert definition_problems(named, MATCH) == ["schema.name: expected a string"]


@pytest.mark.parametrize(
    "change",
    [
        {"Priority": 5.5},
        {"Priority": "5"},
        {"Version": "1.0"},
        {"Phases": []},
        {"Phases": ["body_filter"]},
        {"Name": "q"},
        {"Name": ""},
    ],
)
def test_what_a_query_must_answer(change):
    info = {"Name": "p", "Phases": ["access"], "Priority": 5, "Version": "1.0.0"}
    info["Schema"] = schema(a={"type": "string"})
    assert info_problems(info, MATCH) == []
    assert info_problems({**info, **change}, MATCH)


STRING = {"type": "string", "required": True}


def test_an_absent_record_is_filled_in_and_then_misses_what_it_requires():
    made = configurations(key={"type": "record", "fields": [{"id": STRING}]})
    assert made.problems({}) == ["config.key.id: required field missing"]
    made = configurations(key={"type": "record", "required": False, "fields": [{"id": STRING}]})
    assert made.problems({}) == []
    assert made.sent({}) == {}


def test_records_inside_arrays_are_not_filled_in():
    def inner():
        return {"type": "record", "fields": [{"size": {"type": "integer", "default": 5}}]}

    item = {"type": "record", "fields": [{"inner": inner()}]}
    made = configurations(items={"type": "array", "elements": item}, inner=inner())
    assert made.sent({"items": [{}]}) == {"items": [{}], "inner": {"size": 5}}
    assert made.sent({"items": [{"inner": {}}]})["items"] == [{"inner": {"size": 5}}]


def test_defaults_are_filled_in_and_nulls_are_not_sent():
    made = configurations(
        a={"type": "string", "default": "x"},
        b={"type": "boolean"},
        c={"type": "string"},
        d={"type": "string", "len_min": 0},
    )
    assert made.sent({"b": None, "d": ""}) == {"a": "x", "d": ""}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (STRING, None),
        (STRING, ""),
        (STRING, 5),
        ({"type": "integer"}, 1.5),
        ({"type": "integer"}, True),
        ({"type": "integer", "between": [0, 5]}, 6),
        ({"type": "number", "gt": 5}, 5),
        ({"type": "string", "one_of": ["a"]}, "b"),
        ({"type": "string", "not_one_of": ["a"]}, "a"),
        ({"type": "string", "match": "^/"}, "a/"),
        ({"type": "string", "starts_with": "/"}, "a/"),
        ({"type": "string", "not_match": "^/"}, "/a"),
        ({"type": "string", "eq": "a"}, "b"),
        ({"type": "string", "ne": "a"}, "a"),
        ({"type": "string", "len_eq": 2}, "a"),
        ({"type": "string", "len_max": 1}, "ab"),
        ({"type": "string", "uuid": True}, "x" * 36),
        ({"type": "number", "timestamp": True}, 0),
        ({"type": "array", "elements": {"type": "string"}, "contains": "a"}, ["b"]),
        ({"type": "array", "elements": {"type": "string"}}, "a"),
        ({"type": "array", "elements": {"type": "string"}}, [None]),
        ({"type": "array", "elements": {"type": "string"}, "len_min": 1}, []),
        ({"type": "map", "keys": {"type": "string"}, "values": {"type": "integer"}}, {"a": "b"}),
        ({"type": "record", "fields": []}, {"a": 5}),
        ({"type": "record", "fields": []}, 5),
    ],
)
def test_values_that_are_refused(field, value):
    assert configurations(a=field).problems({"a": value})


RECORD = {"type": "record", "fields": [{"size": {"type": "integer", "default": 5}}]}


@pytest.mark.parametrize("empty", [[], {}, False])
def test_what_lua_takes_for_an_empty_record(empty):
    """One kind of empty table; and `value or default`, which `false` does not survive."""
    made = configurations(a=RECORD)
    assert made.problems({"a": empty}) == []
    assert made.sent({"a": empty}) == {"a": {"size": 5}}


def test_false_for_an_optional_record_is_none():
    made = configurations(a={**RECORD, "required": False})
    assert made.problems({"a": False}) == []
    assert made.sent({"a": False}) == {}


def test_an_empty_list_is_an_empty_map():
    made = configurations(a={"type": "map", "keys": STRING, "values": STRING})
    assert made.problems({"a": []}) == []
    assert made.sent({"a": []}) == {"a": {}}


def test_secrets_are_sent_and_noted_in_their_own_record():
    secret = {"type": "string", "referenceable": True}
    made = configurations(
        list={"type": "array", "elements": secret},
        map={"type": "map", "keys": {"type": "string"}, "values": secret},
        items={"type": "array", "elements": {"type": "record", "fields": [{"key": secret}]}},
        plain={"type": "string"},
    )
    a, b = "{vault://env/a}", "{vault://env/b}"
    sent = made.sent(
        {
            "list": ["x", a],
            "map": {"m": a, "n": "x"},
            "items": [{"key": b}, {"key": a}],
            "plain": a,
        },
        {a: "secret"},
    )
    assert sent == {
        "list": ["x", "secret"],
        "map": {"m": "secret", "n": "x"},
        "items": [{"key": "", "$refs": {"key": b}}, {"key": "secret", "$refs": {"key": a}}],
        "plain": a,
        "$refs": {"list": {"2": a}, "map": {"m": a}},
    }


def test_a_vault_reference_need_not_match():
    made = configurations(a={"type": "string", "match": "^x$", "referenceable": True})
    assert made.problems({"a": "{vault://env/secret}"}) == []
    assert made.problems({"a": "y"})
    assert configurations(a={"type": "string", "match": "^x$"}).problems(
        {"a": "{vault://env/secret}"}
    )


def test_unknown_names_are_refused_and_nothing_given_is_changed():
    made = configurations(
        a={"type": "record", "fields": [{"b": {"type": "integer", "default": 5}}]}
    )
    given = {"a": {"c": 5}}
    assert made.problems(given) == ["config.a.c: unknown field"]
    assert given == {"a": {"c": 5}}
