"""The explaining automaton: places in bytes, lines and columns; bounded work."""

from __future__ import annotations

import pytest

from promptward.jsonfault import MAX_TOKENS, Fault, describe, locate

PLACES = {
    "key": ("{a:1}", Fault("invalid_json", 1, 1, 2, "a key in double quotes or '}'")),
    "second key": ('{"a":1,}', Fault("invalid_json", 7, 1, 8, "a key in double quotes")),
    "colon": ('{"a"}', Fault("invalid_json", 4, 1, 5, "':'")),
    "value": ('{"a":}', Fault("invalid_json", 5, 1, 6, "a value")),
    "first item": ("[,]", Fault("invalid_json", 1, 1, 2, "a value or ']'")),
    "separator": ("[1 2]", Fault("invalid_json", 3, 1, 4, "',' or ']'")),
    "member separator": ('{"a":1 "b"}', Fault("invalid_json", 7, 1, 8, "',' or '}'")),
    "mismatch": ("[}", Fault("invalid_json", 1, 1, 2, "a value or ']'")),
    "end": ("1 1", Fault("invalid_json", 2, 1, 3, "the end of the text")),
    "end missing": ("[1,", Fault("invalid_json", 3, 1, 4, "a value")),
    "string": ('["a', Fault("invalid_json", 1, 1, 2, "a complete string")),
    "line and column": ('[\n "é", x]', Fault("invalid_json", 9, 2, 7, "a value")),
    "duplicate": ('[{"é":1,\n"é":2}]', Fault("duplicate_key", 10, 2, 1)),
    "NaN": ("[ NaN]", Fault("not_a_number", 2, 1, 3)),
    "integer": ("[" + "1" * 22 + "]", Fault("number_out_of_range", 1, 1, 2)),
    "float": ("-1e999", Fault("number_out_of_range", 0, 1, 1)),
    "empty": (" ", Fault("empty_body")),
}


@pytest.mark.parametrize(("text", "fault"), PLACES.values(), ids=PLACES.keys())
def test_places(text: str, fault: Fault) -> None:
    assert locate(text) == fault


def test_equal_keys_of_different_objects_are_no_duplicates() -> None:
    text = '[{"a":{"a":[{"a":1}]},"b":2},{"a":3} x'
    assert locate(text) == Fault("invalid_json", 37, 1, 38, "',' or ']'")


def test_work_is_bounded() -> None:
    near = "[" + "1," * (MAX_TOKENS // 2 - 10) + "}"
    far = "[" + "1," * MAX_TOKENS + "}"
    assert locate(near).offset == len(near) - 1
    assert locate(far) == Fault("invalid_json")


def test_describe() -> None:
    error = describe(Fault("invalid_json", 5, 1, 6, "a value"))
    assert error.code == "invalid_json"
    assert error.message == (
        "the body is not valid JSON: expected a value at line 1, column 6 (byte 5)"
    )
    assert describe(Fault("empty_body")).message == "the body is empty"
