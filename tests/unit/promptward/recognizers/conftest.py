"""What the tests of the recognizer families share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from promptward.recognizers import RecognizerSet, recognizers_for

Finder = Callable[[str], list[tuple[str, str]]]


@cache
def _compiled(names: tuple[str, ...]) -> RecognizerSet:
    return RecognizerSet(recognizers_for(names))


@pytest.fixture
def find() -> Finder:
    """Entities and values found with everything switched on, as a policy with PII and SECRET has."""

    def run(text: str) -> list[tuple[str, str]]:
        matches = _compiled(("PII", "SECRET")).find(text)
        return [(match.entity, text[match.start : match.end]) for match in matches]

    return run
