"""From what a policy's checks ask to the classifier that answers them on this host."""

from __future__ import annotations

from collections.abc import Sequence

from promptward.ports import Classifier, ClassifierQuery, ClassifierSpan
from promptward_ports.classifiers.hosted import BlockingClassifier, SuspendingClassifier
from promptward_ports.classifiers.presidio_library import PresidioLibrary

WORKERS = 8
"""Calls to REST analyzers at once in one process: Kong's default of threads. An analyzer does
one text after the other per CPU; more calls would only wait there instead of here."""


def open_classifier(
    queries: Sequence[ClassifierQuery], *, suspending: bool = False
) -> Classifier | None:
    """The classifier for `queries`; None when there are none.

    Args:
        suspending: for hosts with an asyncio loop, which must not be blocked.

    Raises:
        PolicyError: a model that should run here cannot.
    """
    if not queries:
        return None
    host = SuspendingClassifier if suspending else BlockingClassifier
    remote: Classifier | None = None
    local: Classifier | None = None
    if any(query.url for query in queries):
        # imported for who asks: the HTTP client takes 8 MB of each process
        from promptward_ports.classifiers.presidio_http import PresidioHttp

        remote = host(PresidioHttp(WORKERS), WORKERS)
    if own := [query for query in queries if not query.url]:
        local = host(PresidioLibrary(own), 1)
    return _Both(remote, local) if remote and local else remote or local


class _Both:
    """Service or library, as the query says."""

    def __init__(self, remote: Classifier, local: Classifier) -> None:
        self._remote = remote
        self._local = local

    async def classify(
        self, query: ClassifierQuery, texts: Sequence[str]
    ) -> Sequence[Sequence[ClassifierSpan]]:
        return await (self._remote if query.url else self._local).classify(query, texts)
