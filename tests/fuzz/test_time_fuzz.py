"""No string, wherever it stands in a body, takes more than linear time to read.

A pattern whose time grows with the square of the length takes a minute on these texts (an id of
100 KB did, before its length was bounded first); reading them takes milliseconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from promptward.errors import ExchangeError
from promptward.exchange import JSON
from promptward.protocols import PROTOCOLS, protocol_for

VECTORS = Path(__file__).parents[1] / "conformance" / "vectors"
LENGTH = 100_000
LONGEST_S = 1.0
# What patterns repeat: letters, digits, what joins words, what begins markup, links and escapes.
UNITS = ("a", "0", "a_", "aa-", "a.b ", "0 ", "://", "data:", "A1b2", "<a ", "&#", "\\u", '{"a":')


def bodies() -> dict[str, tuple[str, dict[str, JSON]]]:
    """A request of each shape that the vectors of other protocols hold: (path, body) by id."""
    found: dict[str, tuple[str, dict[str, JSON]]] = {}
    for name in ("protocols", "pii", "injection"):
        for vector in json.loads((VECTORS / f"{name}.json").read_text())["vectors"]:
            request = vector["steps"][0]["request"]
            body = request.get("body")
            if isinstance(body, dict):
                found[vector["id"]] = (request.get("path", "/v1/chat/completions"), body)
    return found


def stretched(value: JSON, text: str) -> Iterator[Any]:
    """Copies of a value with one of its strings, or one of its keys, replaced by a text."""
    if isinstance(value, str):
        yield text
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for copy in stretched(item, text):
                yield [*value[:index], copy, *value[index + 1 :]]
    elif isinstance(value, dict):
        for key, item in value.items():
            yield {(text if name == key else name): member for name, member in value.items()}
            for copy in stretched(item, text):
                yield {**value, key: copy}


BODIES = bodies()


@pytest.mark.parametrize("name", BODIES)
def test_a_long_text_anywhere_takes_linear_time(name: str) -> None:
    path, body = BODIES[name]
    protocol = protocol_for("POST", path)
    if protocol is None:
        pytest.fail(f"no protocol at {path}")
    for unit in UNITS:
        for document in stretched(body, unit * (LENGTH // len(unit))):
            start = time.process_time()
            with suppress(ExchangeError):  # refused is answered too
                protocol.parse_request(document)
            assert time.process_time() - start < LONGEST_S, (unit, list(document))


def test_every_protocol_is_read() -> None:
    spoken = {protocol_for("POST", path) for path, _ in BODIES.values()}
    assert spoken == set(PROTOCOLS.values())
