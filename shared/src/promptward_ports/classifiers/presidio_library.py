"""Microsoft Presidio's analyzer in this process: for one machine without a second service.

Invariants: nothing is ever downloaded (Presidio would fetch a spaCy pipeline that is missing); a
pipeline is loaded once per process. spaCy does not promise that a pipeline may be used by several
threads, and it holds the interpreter's lock while it works: one call at a time (see `opening`), and
the REST analyzer for anything with traffic.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from promptward.errors import PolicyError
from promptward.ports import ClassifierQuery, ClassifierSpan
from promptward_ports.classifiers.analysis import CallFailedError

_PATH = "spec.checks (classifier)"


class PresidioLibrary:
    """Analyzes with the pipelines that its queries name; implements `Analyze`.

    Args:
        queries: what will be asked; their pipelines are loaded now.

    Raises:
        PolicyError: Presidio or a pipeline is not installed, or does not know an entity.
    """

    def __init__(self, queries: Sequence[ClassifierQuery]) -> None:
        for query in queries:
            known = set(_engine(query.model, query.language).get_supported_entities(query.language))
            if missing := sorted(set(query.entities) - known):
                raise PolicyError(
                    f"{_PATH}: {query.model} finds no {', '.join(missing)}; it knows"
                    f" {', '.join(sorted(known))}"
                )

    def __call__(
        self, query: ClassifierQuery, texts: Sequence[str], deadline_s: float
    ) -> list[list[ClassifierSpan]]:
        """See `Analyze`. A call that was begun is finished, however long it takes."""
        del deadline_s
        engine = _engine(query.model, query.language)
        try:
            batch = import_module("presidio_analyzer").BatchAnalyzerEngine(engine)
            answers = batch.analyze_iterator(
                list(texts),
                language=query.language,
                batch_size=len(texts),
                entities=list(query.entities),
                score_threshold=query.min_score,
            )
            return [[_span(found) for found in answer] for answer in answers]
        except Exception as error:  # spaCy and recognizers raise what they like
            raise CallFailedError(f"the analyzer failed: {type(error).__name__}") from error


def _span(found: Any) -> ClassifierSpan:
    return ClassifierSpan(found.entity_type, found.start, found.end, found.score)


# policies name one pipeline, or one per language
@lru_cache(maxsize=8)
def _engine(model: str, language: str) -> Any:
    try:
        presidio = import_module("presidio_analyzer")
        nlp = import_module("presidio_analyzer.nlp_engine")
    except ImportError as error:
        raise PolicyError(
            f"{_PATH}: presidio_library needs `pip install promptward[presidio]`"
        ) from error
    if not (model.isidentifier() and find_spec(model)) and not Path(model).is_dir():
        raise PolicyError(f"{_PATH}: the spaCy pipeline {model!r} is not installed")
    models = [{"lang_code": language, "model_name": model}]
    provider = nlp.NlpEngineProvider(
        nlp_configuration={"nlp_engine_name": "spacy", "models": models}
    )
    return presidio.AnalyzerEngine(
        nlp_engine=provider.create_engine(), supported_languages=[language]
    )
