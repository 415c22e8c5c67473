"""Presidio in this process: what is refused when the policy loads. `tests/presidio` runs it for real.

The engine here is a stand-in: the real package and a pipeline take 400 MB.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from promptward.errors import PolicyError
from promptward.ports import ClassifierQuery, ClassifierSpan
from promptward_ports.classifiers import presidio_library
from promptward_ports.classifiers.analysis import CallFailedError
from promptward_ports.classifiers.presidio_library import PresidioLibrary


def query(model: str | Path, *entities: str) -> ClassifierQuery:
    return ClassifierQuery("", str(model), None, "en", entities or ("PERSON",), 0.4, 5.0)


class Engine:
    """Stands in for `AnalyzerEngine`."""

    def __init__(self, **_: Any) -> None:
        pass

    def get_supported_entities(self, language: str) -> list[str]:
        return ["LOCATION", "PERSON"]


class Result:
    """Stands in for `RecognizerResult`."""

    entity_type, start, end, score = "PERSON", 0, 2, 1.0


class Batch:
    """Stands in for `BatchAnalyzerEngine`; remembers what it was asked."""

    asked: dict[str, Any]

    def __init__(self, engine: Engine) -> None:
        pass

    def analyze_iterator(self, texts: list[str], **asked: Any) -> list[list[Result]]:
        Batch.asked = asked
        if "canary" in texts[0]:
            raise ValueError(texts)
        return [[Result()] for _ in texts]


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module, nlp = ModuleType("presidio_analyzer"), ModuleType("presidio_analyzer.nlp_engine")
    provider = type("Provider", (), {"create_engine": lambda _: None})()
    module.__dict__.update(AnalyzerEngine=Engine, BatchAnalyzerEngine=Batch)
    nlp.__dict__.update(NlpEngineProvider=lambda **_: provider)
    monkeypatch.setitem(sys.modules, "presidio_analyzer", module)
    monkeypatch.setitem(sys.modules, "presidio_analyzer.nlp_engine", nlp)
    presidio_library._engine.cache_clear()
    yield
    presidio_library._engine.cache_clear()


def test_it_asks_for_what_the_query_names(tmp_path: Path) -> None:
    asked = query(tmp_path)
    found = PresidioLibrary([asked])(asked, ["Al", "Bo"], 0.0)
    assert found == [[ClassifierSpan("PERSON", 0, 2, 1.0)]] * 2
    assert Batch.asked == {
        "language": "en",
        "batch_size": 2,
        "entities": ["PERSON"],
        "score_threshold": 0.4,
    }


def test_the_library_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(PolicyError, match=r"needs `pip install promptward\[presidio\]`"):
        PresidioLibrary([query(tmp_path)])


@pytest.mark.parametrize("model", ["not_installed", "not a name", "/no/such/directory"])
def test_a_pipeline_that_is_missing_is_never_downloaded(model: str) -> None:
    with pytest.raises(PolicyError, match="is not installed"):
        PresidioLibrary([query(model)])


def test_an_entity_that_the_pipeline_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="finds no PERSN; it knows LOCATION, PERSON"):
        PresidioLibrary([query(tmp_path, "PERSN")])


def test_an_error_inside_is_no_answer_and_quotes_nothing(tmp_path: Path) -> None:
    asked = query(tmp_path)
    library = PresidioLibrary([asked])
    with pytest.raises(CallFailedError) as caught:
        library(asked, ["canary-4711"], 0.0)
    assert "canary" not in str(caught.value)
