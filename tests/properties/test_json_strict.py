"""Strict JSON against the standard library as reference, over valid and mangled texts."""

from __future__ import annotations

import json
import math

from hypothesis import example, given
from hypothesis import strategies as st

from promptward.errors import ExchangeError
from promptward.exchange import JSON
from promptward.jsonfault import MAX_INTEGER_DIGITS, locate
from promptward.jsonstrict import JsonLimits, dumps_canonical, parse, set_pointers

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES: st.SearchStrategy[JSON] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)
# Pieces that JSON is made of and pieces that break it.
PIECES = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"',
        "\\",
        "\\u",
        "d83d",
        "de00",
        "\\n",
        "true",
        "false",
        "null",
        "NaN",
        "Infinity",
        "-",
        "0",
        "1",
        "01",
        "1e9",
        "1e999",
        ".",
        "a",
        "é",
        "😀",
    ]
    + [" ", "\n", "\t", "\x00", "\x0b", '"a"', '"b"', "\\ud83d", "\\ude00", "9" * 25, "[[", "]]"]
)


def depth(value: JSON) -> int:
    inner: list[JSON] = []
    if isinstance(value, list):
        inner = value
    elif isinstance(value, dict):
        inner = list(value.values())
    else:
        return 0
    return 1 + max(map(depth, inner), default=0)


def reference(text: str) -> bool:
    """Whether a strict reader accepts `text`, written as plainly as possible."""

    def unique(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError
        return dict(pairs)

    def refuse(_: str) -> JSON:
        raise ValueError

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except ValueError:
        return False
    return all(map(acceptable, scalars(value)))


def scalars(value: JSON) -> list[JSON]:
    if isinstance(value, list):
        return [s for item in value for s in scalars(item)]
    if isinstance(value, dict):
        return [s for key, item in value.items() for s in (key, *scalars(item))]
    return [value]


def acceptable(value: JSON) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return not any("\ud800" <= c <= "\udfff" for c in value)
    return type(value) is not int or len(str(value)) <= MAX_INTEGER_DIGITS


def accepts(data: bytes, limits: JsonLimits | None = None) -> bool:
    try:
        parse(data, limits or JsonLimits())
    except ExchangeError:
        return False
    return True


@given(VALUES)
def test_what_is_written_is_read_back(value: JSON) -> None:
    data = dumps_canonical(value)
    again = parse(data)
    assert again == value
    assert dumps_canonical(again) == data


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_any_spelling_has_one_canonical_form(
    value: JSON, ascii_only: bool, indent: int | None
) -> None:
    spelled = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert dumps_canonical(parse(spelled)) == dumps_canonical(value)


@given(st.lists(PIECES, max_size=30).map("".join))
@example('{"a":1,"\\u0061":2}')
@example('["\\ud83d\\ude00\\ud83d"]')
def test_accepts_exactly_what_the_reference_accepts(text: str) -> None:
    assert accepts(text.encode()) == reference(text)


@given(VALUES, st.data())
def test_damage_is_refused_or_harmless(value: JSON, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=False)
    at = data.draw(st.integers(0, len(text)))
    damaged = text[:at] + data.draw(PIECES) + text[at + data.draw(st.integers(0, 2)) :]
    assert accepts(damaged.encode()) == reference(damaged)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_every_refusal_of_the_scanner_has_a_place(text: str) -> None:
    """The automaton that explains agrees with the scanner that decides."""
    fault = locate(text)
    try:
        text.encode()
        json.JSONDecoder(parse_constant=lambda _: 1 / 0).decode(text)
    except (ValueError, ZeroDivisionError):
        assert fault.code == "empty_body" or fault.offset is not None
    if fault.offset is not None:
        assert 0 <= fault.offset <= len(text.encode())


@given(VALUES, st.integers(1, 6))
def test_depth_is_counted_exactly(value: JSON, most: int) -> None:
    assert accepts(dumps_canonical(value), JsonLimits(max_depth=most)) == (depth(value) <= most)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_else(data: bytes) -> None:
    accepts(data)


def places(value: JSON, pointer: str = "") -> list[str]:
    if isinstance(value, list):
        return [p for i, item in enumerate(value) for p in places(item, f"{pointer}/{i}")]
    if isinstance(value, dict):
        escaped = ((k.replace("~", "~0").replace("/", "~1"), v) for k, v in value.items())
        return [p for k, item in escaped for p in places(item, f"{pointer}/{k}")]
    return [pointer]


@given(VALUES)
def test_pointers_reach_every_leaf_and_only_that(value: JSON) -> None:
    before = dumps_canonical(value)
    leaves = places(value)
    assert dumps_canonical(set_pointers(value, dict.fromkeys(leaves, 7))) == dumps_canonical(
        sevens(value)
    )
    for pointer in leaves:
        changed = set_pointers(value, {pointer: "☃"})
        assert scalars(changed).count("☃") - scalars(value).count("☃") in (0, 1)
    assert dumps_canonical(value) == before


def sevens(value: JSON) -> JSON:
    if isinstance(value, list):
        return [sevens(item) for item in value]
    if isinstance(value, dict):
        return {key: sevens(item) for key, item in value.items()}
    return 7
