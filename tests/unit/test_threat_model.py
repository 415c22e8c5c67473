"""docs/threat-model.md names only tests and vectors that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
VECTORS = sorted(set(re.findall(r"`vector:([\w-]+)`", TEXT)))


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_a_guard_exists(path: str, name: str) -> None:
    source = (ROOT / path).read_text("utf-8")
    assert re.search(rf"^ *(async )?def {name}\(", source, re.MULTILINE)


def test_vectors_exist() -> None:
    known = {
        vector["id"]
        for file in (ROOT / "tests" / "conformance" / "vectors").glob("*.json")
        for vector in _vectors(json.loads(file.read_text("utf-8")))
    }
    assert set(VECTORS) <= known


def _vectors(document: object) -> list[dict[str, str]]:
    if isinstance(document, dict):
        document = document["vectors"]
    assert isinstance(document, list)
    return document


def test_every_threat_has_a_guard() -> None:
    rows = [line for line in TEXT.splitlines() if re.match(r"\| (?!threat|asset|-)", line)]
    threats = [row for row in rows if row.count("|") == 4]
    assert len(threats) > 40, "the tables of the page were not recognised"
    assert [row for row in threats if "`tests/" not in row and "`vector:" not in row] == []
