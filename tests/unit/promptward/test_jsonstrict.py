"""Strict JSON: what is refused and how it is told, the canonical writer, pointer edits."""

from __future__ import annotations

import json
import sys

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON
from promptward.jsonstrict import (
    JsonLimits,
    dumps_canonical,
    escape_token,
    has_pointer,
    parse,
    parse_object,
    set_pointer,
    set_pointers,
)

REFUSED = {
    "empty": (b"", "empty_body", ""),
    "only white space": (b" \r\n\t", "empty_body", ""),
    "byte order mark": (b"\xef\xbb\xbf{}", "byte_order_mark", ""),
    "UTF-16": ('{"a":1}'.encode("utf-16-le"), "invalid_json", "byte 1"),
    "latin-1": (b'["\xe9"]', "invalid_utf8", "byte 2"),
    "overlong": (b'["\xc0\xaf"]', "invalid_utf8", "byte 2"),
    "encoded surrogate": (b'["\xed\xa0\x80"]', "invalid_utf8", "byte 2"),
    "high surrogate": (b'["\\ud83d"]', "lone_surrogate", "byte 2"),
    "low surrogate": (b'["a\\uDE00"]', "lone_surrogate", "byte 3"),
    "two high surrogates": (b'["\\ud83d\\ud83d\\ude00"]', "lone_surrogate", "byte 2"),
    "surrogate in a key": (b'{"\\ud83d":1}', "lone_surrogate", "byte 2"),
    "duplicate": (b'{"a":1,"a":2}', "duplicate_key", "line 1, column 8 (byte 7)"),
    "escaped duplicate": (b'{"a":1,\n"\\u0061":2}', "duplicate_key", "line 2, column 1 (byte 8)"),
    "inner duplicate": (b'[{"x":{"k":0,"l":0,"k":0}}]', "duplicate_key", "byte 19"),
    "NaN": (b"[NaN]", "not_a_number", "byte 1"),
    "Infinity": (b'{"a":Infinity}', "not_a_number", "byte 5"),
    "-Infinity": (b'{"a":-Infinity}', "not_a_number", "byte 5"),
    "infinite float": (b"[1e999]", "number_out_of_range", "byte 1"),
    "huge integer": (b"[" + b"9" * 22 + b"]", "number_out_of_range", "byte 1"),
    "enormous integer": (b"9" * 10_000, "number_out_of_range", "byte 0"),
    "trailing comma": (b"[1,]", "invalid_json", "expected a value at line 1, column 4"),
    "trailing comma in an object": (b'{"a":1,}', "invalid_json", "expected a key"),
    "trailing data": (b"{} {}", "invalid_json", "expected the end of the text"),
    "truncated object": (b'{"a":1', "invalid_json", "expected ',' or '}' at line 1, column 7"),
    "truncated string": (b'{"a":"xyz', "invalid_json", "expected a complete string"),
    "truncated word": (b"tru", "invalid_json", "expected a value"),
    "leading zero": (b"[01]", "invalid_json", "expected ',' or ']'"),
    "plus sign": (b"[+1]", "invalid_json", "expected a value or ']'"),
    "single quotes": (b"{'a':1}", "invalid_json", "expected a key in double quotes or '}'"),
    "comment": (b"/* */ {}", "invalid_json", "byte 0"),
    "control character": (b'["\x01"]', "invalid_json", "expected a complete string"),
    "NUL": (b"\x00", "invalid_json", "byte 0"),
    "bad escape": (b'["\\x41"]', "invalid_json", "expected a complete string"),
    "missing colon": (b'{"a" 1}', "invalid_json", "expected ':'"),
    "wrong end": (b"[1}", "invalid_json", "expected ',' or ']'"),
    "form feed is not white space": (b"\x0c1", "invalid_json", "byte 0"),
    "byte offset, not character": ('["é" 1]'.encode(), "invalid_json", "column 6 (byte 6)"),
}


@pytest.mark.parametrize(("data", "code", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_code_and_place(data: bytes, code: str, message: str) -> None:
    with pytest.raises(ExchangeError) as caught:
        parse(data)
    assert caught.value.code == code
    assert message in caught.value.message
    assert 400 <= caught.value.status < 500


def test_messages_never_quote_the_body() -> None:
    for data in (b'{"c4nary":1,"c4nary":2}', b'{"c4nary" c4nary}', b'["c4nary]', b"[c4nary]"):
        with pytest.raises(ExchangeError) as caught:
            parse(data)
        assert "c4nary" not in caught.value.message
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_accepts_everything_rfc_8259_defines() -> None:
    data = ' {"a": [1, -0.5e+2, true, false, null, "\\u00e9\\n\\ud83d\\ude00", {}], "é": []}\r\n'
    assert parse(data.encode()) == {"a": [1, -50.0, True, False, None, "é\n😀", {}], "é": []}
    for scalar in (b"0", b'""', b"null", b"-1.5"):
        assert parse(scalar) == json.loads(scalar)
    assert parse(b"18446744073709551615") == 2**64 - 1


def test_an_escaped_backslash_starts_no_escape() -> None:
    assert parse(b'["\\\\ud800"]') == ["\\ud800"]
    assert parse(b'["\\\\\\ud83d\\ude00"]') == ["\\😀"]


def test_depth_is_bounded_before_recursing() -> None:
    limits = JsonLimits(max_depth=8)
    assert parse(b"[" * 8 + b"]" * 8, limits) == [[[[[[[[]]]]]]]]
    for opener in (b"[", b'{"a":', b'[{"a":'):
        with pytest.raises(ExchangeError, match="nested deeper than 8 levels") as caught:
            parse(opener * (sys.getrecursionlimit() * 2), limits)
        assert caught.value.code == "json_too_deep"


def test_brackets_in_strings_are_not_depth() -> None:
    text = '[{"\\\\": "\\"' + "[{" * 500 + '\\\\", "b": "' + "]}" * 500 + '"}]'
    assert parse(text.encode(), JsonLimits(max_depth=2)) == json.loads(text)


def test_quotes_cannot_hide_depth() -> None:
    bomb = b"[" * 5000
    for prefix in (b'["\\"', b'["\\\\",', b'["\\\\\\",', b'"', b'\\"', b'["",'):
        with pytest.raises(ExchangeError):
            parse(prefix + bomb, JsonLimits(max_depth=16))


def test_item_count_is_bounded() -> None:
    limits = JsonLimits(max_items=10)
    assert parse(b"[1,2,3,4,5,6,7,8,9]", limits) == list(range(1, 10))
    assert parse(b'["' + b"," * 100 + b'"]', limits) == ["," * 100]
    for data in (
        b"[[],[],[],[],[],[]]",
        b"[" + b"1," * 10 + b"1]",
        b"[" + b"[]," * 6 + b"[]]",
        b"[" + b"{}," * 6 + b"[]]",
    ):
        with pytest.raises(ExchangeError) as caught:
            parse(data, limits)
        assert caught.value.code == "json_too_large"
        assert caught.value.status == 413


def test_size_is_bounded() -> None:
    assert parse(b"[12]", JsonLimits(max_bytes=4)) == [12]
    with pytest.raises(ExchangeError) as caught:
        parse(b"[123]", JsonLimits(max_bytes=4))
    assert (caught.value.code, caught.value.status) == ("body_too_large", 413)


def test_limits_that_could_exhaust_the_stack_are_not_accepted() -> None:
    with pytest.raises(ValueError, match="max_depth"):
        JsonLimits(max_depth=201)


def test_a_fault_far_into_the_text_is_refused_without_a_place() -> None:
    with pytest.raises(ExchangeError) as caught:
        parse(b"[" + b"1," * 30_000 + b"}")
    assert caught.value.message == "the body is not valid JSON"


def test_parse_object_wants_an_object() -> None:
    assert parse_object(b'{"a":1}') == {"a": 1}
    for data in (b"[]", b"null", b'"x"', b"1"):
        with pytest.raises(ExchangeError) as caught:
            parse_object(data)
        assert caught.value.code == "invalid_type"


def test_canonical_bytes() -> None:
    numbers = "[1.0, 1e16, 0.1, 1E-7, -0, 12345678901234567890]"
    value = parse(f'{{ "b" : {numbers}, "a":"é\\/\\u2028\\u0007"}}'.encode())
    assert dumps_canonical(value) == (
        '{"b":[1.0,1e+16,0.1,1e-07,0,12345678901234567890],"a":"é/\u2028\\u0007"}'.encode()
    )


def test_writer_refuses_what_the_reader_would() -> None:
    for value in (float("nan"), float("inf"), "\ud800"):
        with pytest.raises(ValueError):
            dumps_canonical([value])


def test_pointers_change_a_copy() -> None:
    document = parse(b'{"a":[{"b":"x"},{"b":"y"}],"c/d":{"~":"z"},"":"e"}')
    before = dumps_canonical(document)
    changed = set_pointers(document, {"/a/1/b": "Y", "/c~1d/~0": "Z", "/a/0/b": "X", "/": "E"})
    assert dumps_canonical(changed) == b'{"a":[{"b":"X"},{"b":"Y"}],"c/d":{"~":"Z"},"":"E"}'
    assert dumps_canonical(document) == before
    assert set_pointer(document, "", 1) == 1


def test_untouched_branches_are_shared() -> None:
    document = parse(b'{"a":{"b":1},"c":{"d":2}}')
    changed = set_pointer(document, "/a/b", 3)
    assert isinstance(document, dict)
    assert isinstance(changed, dict)
    assert changed["c"] is document["c"]
    assert changed["a"] is not document["a"]


@pytest.mark.parametrize("pointer", ["/x", "/a/2", "/a/-", "/a/-1", "/a/0/b", "/s/0", "a", "/a/²"])
def test_a_pointer_to_nowhere_is_an_error(pointer: str) -> None:
    with pytest.raises(KeyError):
        set_pointer({"a": [1, 2], "s": "text"}, pointer, 0)


def test_escape_token() -> None:
    assert [escape_token(n) for n in ("plain", "a/b", "~1", "~/")] == [
        "plain",
        "a~1b",
        "~01",
        "~0~1",
    ]


@pytest.mark.parametrize(
    ("pointer", "leads"),
    [
        ("", True),
        ("/a", True),
        ("/a/1/b", True),
        ("/c~1d", True),
        ("/b", False),
        ("/a/2", False),
        ("/a/-1", False),
        ("/a/x", False),
        ("/a/0/b", False),
        ("/*0", False),
    ],
)
def test_whether_a_pointer_leads_anywhere(pointer: str, leads: bool) -> None:
    document: JSON = {"a": ["x", {"b": None}], "c/d": 1}
    assert has_pointer(document, pointer) is leads
