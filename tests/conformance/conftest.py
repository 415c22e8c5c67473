"""Vectors, the policies they run under, golden observations, and the check every gateway faces."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promptward.testing.analyzer import AnalyzerServer, word_analyzer
from promptward.testing.conformance import (
    Gateway,
    ScriptedUpstream,
    Vector,
    exception_for,
    load_exceptions,
    load_vectors,
    play,
    policy_text,
    problems,
)

HERE = Path(__file__).parent
VECTORS = load_vectors(HERE / "vectors")
Check = Callable[[Gateway, Vector], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--record-golden` writes what the core does now as the golden observations."""
    parser.addoption("--record-golden", action="store_true", default=False)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `vector` runs once for each."""
    if "vector" in metafunc.fixturenames:
        metafunc.parametrize("vector", VECTORS, ids=[v.id for v in VECTORS])


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """Vector id -> its recorded observations."""
    path = HERE / "golden.json"
    recorded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return recorded


@pytest.fixture(scope="session")
def upstream() -> Iterator[ScriptedUpstream]:
    """The upstream behind every gateway under test."""
    server = ScriptedUpstream(VECTORS, "127.0.79.1")
    yield server
    server.close()


@pytest.fixture(scope="session")
def analyzer() -> Iterator[AnalyzerServer]:
    """What the policy `names` asks for names: a stand-in that speaks Presidio's contract."""
    words = {"Ann Lee": "PERSON", "李雷": "PERSON", "Paris": "LOCATION"}
    server = word_analyzer(words, breaks_on="break the analyzer")
    yield server
    server.close()


@pytest.fixture(scope="session")
def policy_of(analyzer: AnalyzerServer) -> Callable[[str], str]:
    """The text of a policy by name, with the vectors' callers and the analyzer's address in it."""

    def text(name: str) -> str:
        policy = policy_text(HERE / "policies", name, VECTORS)
        return policy.replace("http://analyzer.test", analyzer.url)

    return text


@pytest.fixture(scope="session")
def check(upstream: ScriptedUpstream, golden: dict[str, Any]) -> Callable[[Gateway, Vector], None]:
    """Play a vector and fail on any difference that exceptions.toml does not explain."""

    def run(gateway: Gateway, vector: Vector) -> None:
        exceptions = load_exceptions(HERE / "exceptions.toml", gateway.name)
        reason = exception_for(exceptions, vector.id)
        found = problems(vector, play(gateway, vector, upstream), golden.get(vector.id))
        if reason is not None and vector.id in exceptions:
            assert found, f"exceptions.toml is stale: {gateway.name} no longer differs here"
        if reason is None:
            assert not found, "\n".join(found)

    return run
