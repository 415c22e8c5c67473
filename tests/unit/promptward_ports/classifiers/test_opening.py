"""Which adapter answers which query."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from promptward.ports import ClassifierQuery, ClassifierSpan
from promptward.sync import run_sync
from promptward.testing.analyzer import AnalyzerServer, word_analyzer
from promptward_ports.classifiers import open_classifier, opening

REMOTE = ClassifierQuery("http://a.test", "", None, "en", ("LOCATION",), 0.5, 5.0)
LOCAL = replace(REMOTE, url="", model="some_model")
PARIS = [[ClassifierSpan("LOCATION", 3, 8, 0.85)]]
HERE = [[ClassifierSpan("LOCATION", 0, 1, 1.0)]]


@pytest.fixture
def analyzer() -> Iterator[AnalyzerServer]:
    made = word_analyzer({"Paris": "LOCATION"})
    yield made
    made.close()


def test_nothing_is_opened_when_nothing_asks() -> None:
    assert open_classifier(()) is None


@pytest.mark.parametrize("suspending", [False, True])
def test_a_service(analyzer: AnalyzerServer, suspending: bool) -> None:
    query = replace(REMOTE, url=analyzer.url)
    port = open_classifier([query], suspending=suspending)
    assert port is not None
    run: Any = asyncio.run if suspending else run_sync
    assert run(port.classify(query, ["in Paris"])) == PARIS


def test_a_service_that_is_down_does_not_keep_a_policy_from_loading() -> None:
    assert open_classifier([REMOTE]) is not None


def test_service_and_library_side_by_side(
    analyzer: AnalyzerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[list[ClassifierQuery]] = []

    def library(queries: list[ClassifierQuery]) -> Any:
        loaded.append(queries)
        return lambda query, texts, deadline_s: HERE

    monkeypatch.setattr(opening, "PresidioLibrary", library)
    remote = replace(REMOTE, url=analyzer.url)
    port = open_classifier([remote, LOCAL])
    assert port is not None
    assert loaded == [[LOCAL]]
    assert run_sync(port.classify(remote, ["in Paris"])) == PARIS
    assert run_sync(port.classify(LOCAL, ["in Paris"])) == HERE
