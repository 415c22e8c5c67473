"""The reference page is generated, complete and current."""

from __future__ import annotations

from pathlib import Path

from promptward.policy import Policy
from promptward.policy.json_schema import json_schema
from promptward.policy.reference import policy_reference

ROOT = Path(__file__).parents[4]
PAGE = policy_reference(Policy)


def test_the_published_page_is_current() -> None:
    published = (ROOT / "docs" / "policy-reference.md").read_text(encoding="utf-8")
    assert published == PAGE, "run `make schema`"


def test_every_setting_is_on_it() -> None:
    for name, definition in json_schema(Policy)["$defs"].items():
        assert f"## {name}\n" in PAGE
        for field in definition["properties"]:
            assert f"| `{field}` |" in PAGE
