"""The JSON reader of policies reads what the YAML reader reads, or leaves it to that one."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from promptward.errors import PolicyError
from promptward.policy import json_document
from promptward.policy.load import _parse, _parse_yaml

DEPTH = 32
SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.text(), VALUES, max_size=4)


def by_yaml(text: str) -> object:
    try:
        return _parse_yaml(text)
    except PolicyError as error:
        return error.problems


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 0, 2]))
@example({"a": "\u2028b \u0085"}, False, None)
@example({"\U0001f600": "\U0001f600"}, True, None)
@example({"k" * 2000: 1}, True, 2)
@example({"a": 10**18, "b": 1e300, "c": -0.0, "d": 1e-7}, True, None)
def test_what_is_taken_is_what_yaml_reads(
    document: dict[str, object], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    found = json_document.read(text, DEPTH)
    if found is not json_document.NOT_TAKEN:
        assert repr(found) == repr(by_yaml(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 12345678901234567890}',
        '{"a": 0.1234567890123456789}',
        '{"a":\t1}',
        '{"a"\n: 1}',
        '{"a": "\\ud83d\\ude00"}',
        '{"a": "\u0085"}',
        '{"a": "\x7f"}',
        '{"a": "\ufeff"}',
        '{"a": 1} # why',
        "{a: 1}",
        '["a"]',
        "a: 1",
        "",
        '{"a":' * 40 + "1" + "}" * 40,
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_what_yaml_reads_in_its_own_way_is_left_to_it(text: str) -> None:
    assert json_document.read(text, DEPTH) is json_document.NOT_TAKEN


@pytest.mark.parametrize(
    "text",
    ["{}", ' \r\n{"a":{"b":[true,null,-1,1.5e3,"x\\n\\/\\u00e9"]}}\n', '{"é": "\U0001f600"}'],
)
def test_plain_json_is_taken(text: str) -> None:
    found = json_document.read(text, DEPTH)
    assert isinstance(found, dict)
    assert repr(found) == repr(by_yaml(text)) == repr(_parse(text))
