"""The hand-written attacks and look-alikes, and one detector for all tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from promptward.injection import InjectionDetector

CASES = json.loads(Path(__file__).with_name("cases.json").read_text(encoding="utf-8"))
ABROAD = json.loads(Path(__file__).with_name("abroad.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def detector() -> InjectionDetector:
    return InjectionDetector()


@pytest.fixture(scope="session")
def cases() -> dict[str, object]:
    return CASES


@pytest.fixture(scope="session")
def abroad() -> dict[str, object]:
    """Set → attacks | benign → language → [source, text]; see `test_abroad.py`."""
    return ABROAD
