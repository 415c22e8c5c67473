from pathlib import Path

import pytest

from promptward_kong.testing.lua import load_schema, lua_match


def test_patterns_are_luas():
    match = lua_match()
    assert match("a1", "^%w+$")
    assert not match("a-1", "^%w+$")
    with pytest.raises(Exception, match="malformed pattern"):
        match("a", "[a")


def test_a_schema_becomes_plain_values(tmp_path: Path):
    path = tmp_path / "schema.lua"
    path.write_text('return { name = "p", fields = { { config = { type = "record" } } }, n = 5 }')
    assert load_schema(path) == {
        "name": "p",
        "fields": [{"config": {"type": "record"}}],
        "n": 5,
    }
