"""Vectors, the policies they run under, and the golden observations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--record-golden` writes what the core does now as the golden observations."""
    parser.addoption("--record-golden", action="store_true", default=False)


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Vector id -> its recorded observations."""
    out: dict[str, Any] = {}
    for path in sorted((HERE / "golden").glob("*.json")):
        out |= json.loads(path.read_text(encoding="utf-8"))
    return out
