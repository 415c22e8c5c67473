"""The `Classifier` port on a blocking detector: bounded worker threads, deadline, circuit breaker.

Invariants: nobody waits longer than the query's time-out, whatever the detector does; at most
`workers` calls are under way (a call that its caller gave up on still counts until it ends, so a
detector that hangs cannot pile up threads); the breaker opens only on what texts cannot cause, or
one client could shut the others out with texts that take long.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from promptward.errors import PortError
from promptward.ports import ClassifierQuery, ClassifierSpan
from promptward_ports.breaker import CircuitBreaker
from promptward_ports.classifiers.analysis import PORT, Analyze, ServiceAwayError

Spans = list[list[ClassifierSpan]]


class _Calls:
    """The calls of one host to one kind of detector.

    Args:
        analyze: the detector.
        workers: threads.
        monotonic_s: monotonic time in seconds.
    """

    def __init__(self, analyze: Analyze, workers: int, monotonic_s: Callable[[], float]) -> None:
        self._analyze = analyze
        self._monotonic_s = monotonic_s
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="classifier")
        self._breakers: dict[str, CircuitBreaker] = {}
        self._lock = threading.Lock()

    def start(self, query: ClassifierQuery, texts: Sequence[str]) -> Future[Spans]:
        """Begin a call.

        Raises:
            PortError: the detector is away, or the host is shutting down.
        """
        with self._lock:
            breaker = self._breakers.setdefault(query.url, CircuitBreaker())
            if not breaker.allows(self._monotonic_s()):
                raise PortError(PORT, "the detector is away (circuit open)")
        deadline_s = self._monotonic_s() + query.timeout_s
        try:
            return self._executor.submit(self._call, breaker, query, texts, deadline_s)
        except RuntimeError as error:  # the executor was shut down
            raise PortError(PORT, "the host is shutting down") from error

    def _call(
        self,
        breaker: CircuitBreaker,
        query: ClassifierQuery,
        texts: Sequence[str],
        deadline_s: float,
    ) -> Spans:
        try:
            found = self._analyze(query, texts, deadline_s)
        except ServiceAwayError:
            with self._lock:
                breaker.failed(self._monotonic_s())
            raise
        except PortError:
            self._reached(breaker)
            raise
        self._reached(breaker)
        return found

    def _reached(self, breaker: CircuitBreaker) -> None:
        with self._lock:
            breaker.succeeded()


class _Hosted:
    """What both kinds of host have in common.

    Args:
        analyze: the detector.
        workers: calls under way at once, 1 or more.
        monotonic_s: monotonic time in seconds.
    """

    def __init__(
        self,
        analyze: Analyze,
        workers: int,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = _Calls(analyze, workers, monotonic_s)


class BlockingClassifier(_Hosted):
    """`promptward.ports.Classifier` for blocking hosts; safe to share between threads."""

    async def classify(self, query: ClassifierQuery, texts: Sequence[str]) -> Spans:
        """Spans per text; blocks and never suspends.

        Raises:
            PortError: the detector failed, is away or did not answer in time.
        """
        call = self._calls.start(query, texts)
        try:
            return call.result(query.timeout_s)
        except TimeoutError as error:
            call.cancel()
            raise PortError(PORT, "no answer in time") from error


class SuspendingClassifier(_Hosted):
    """`promptward.ports.Classifier` for asyncio hosts: waits without blocking the loop."""

    async def classify(self, query: ClassifierQuery, texts: Sequence[str]) -> Spans:
        """Spans per text.

        Raises:
            PortError: the detector failed, is away or did not answer in time.
        """
        call = asyncio.wrap_future(self._calls.start(query, texts))
        try:
            return await asyncio.wait_for(call, query.timeout_s)
        except TimeoutError as error:
            raise PortError(PORT, "no answer in time") from error
