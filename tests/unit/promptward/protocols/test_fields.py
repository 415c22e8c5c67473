"""Reading fields by a table: each kind of row, null, unknown fields."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON, Source
from promptward.protocols import RequestLimits
from promptward.protocols.fields import FieldReader, model_name, positive

Row = Callable[[FieldReader, str, JSON], None]

ROWS: dict[str, tuple[Row, JSON, JSON, str]] = {
    "word": (FieldReader.word, "auto", 5, "a string"),
    "text": (FieldReader.text, "a text", [], "a string"),
    "number": (FieldReader.number, 1.5, True, "a number"),
    "integer": (FieldReader.integer, 5, 5.0, "an integer"),
    "boolean": (FieldReader.boolean, False, 0, "a boolean"),
    "object": (FieldReader.object, {"a": "b c"}, "x", "an object"),
    "schema": (FieldReader.schema, {"a": "b c"}, ["x"], "an object"),
    "words": (FieldReader.words, ["a", "b"], "x", "an array"),
    "texts": (FieldReader.texts, ["a", "b"], {}, "a string or an array of strings"),
}


@pytest.mark.parametrize(("row", "good", "bad", "expected"), ROWS.values(), ids=ROWS.keys())
def test_rows(row: Row, good: JSON, bad: JSON, expected: str) -> None:
    rows = {"field": row}
    FieldReader(RequestLimits()).read({"field": good}, rows)
    FieldReader(RequestLimits()).read({"field": None}, rows)
    with pytest.raises(ExchangeError) as caught:
        FieldReader(RequestLimits()).read({"field": bad}, rows)
    assert caught.value.message.startswith(f"/field: expected {expected}, got ")


def test_texts_and_unknown_fields_are_collected_in_order() -> None:
    reader = FieldReader(RequestLimits())
    document: dict[str, JSON] = {"x": {"y": "one"}, "stop": ["two", "three"], "s": {"d": "four"}}
    reader.read(document, {"stop": FieldReader.texts, "s": FieldReader.schema})
    assert [(p.pointer, p.source, p.text) for p in reader.collector.parts] == [
        ("/x/y", Source.USER, "one"),
        ("/stop/0", Source.USER, "two"),
        ("/stop/1", Source.USER, "three"),
        ("/s/d", Source.TOOL_DEFINITION, "four"),
    ]


def test_model_name() -> None:
    assert model_name({"model": "m"}) == "m"
    for document, code in (
        ({}, "missing_field"),
        ({"model": 5}, "invalid_type"),
        ({"model": ""}, "invalid_value"),
    ):
        with pytest.raises(ExchangeError) as caught:
            model_name(document)  # type: ignore[arg-type]
        assert caught.value.code == code


def test_positive() -> None:
    assert positive({"n": 3}, "n", 3) == 3
    assert positive({}, "n", 3) is None
    assert positive({"n": None}, "n", 3) is None
    for value in (0, -1, 4):
        with pytest.raises(ExchangeError, match="/n: expected 1 to 3"):
            positive({"n": value}, "n", 3)
