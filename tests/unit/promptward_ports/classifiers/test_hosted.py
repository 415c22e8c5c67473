"""Worker threads around a detector: deadline, bound, breaker, on both kinds of host."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from promptward.errors import PortError
from promptward.ports import Classifier, ClassifierQuery, ClassifierSpan
from promptward.sync import run_sync
from promptward_ports.classifiers.analysis import CallFailedError, ServiceAwayError
from promptward_ports.classifiers.hosted import BlockingClassifier, SuspendingClassifier

Spans = list[list[ClassifierSpan]]
Ask = Callable[[Classifier, ClassifierQuery], Sequence[Sequence[ClassifierSpan]]]
FOUND = [[ClassifierSpan("PERSON", 0, 3, 0.9)]]


def query(url: str = "http://a.test", timeout_s: float = 5.0) -> ClassifierQuery:
    return ClassifierQuery(url, "", None, "en", ("PERSON",), 0.5, timeout_s)


class Scripted:
    """A detector that does as told.

    Attributes:
        calls: how often it was asked.
        running: how many calls are under way.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls = 0
        self.running = self.most = 0
        self.began = threading.Event()
        self.release = threading.Event()
        self.release.set()
        self._lock = threading.Lock()

    def __call__(self, asked: ClassifierQuery, texts: Sequence[str], deadline_s: float) -> Spans:
        with self._lock:
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)
        self.began.set()
        try:
            self.release.wait(30)
            if self.error is not None:
                raise self.error
            return FOUND
        finally:
            with self._lock:
                self.running -= 1


class Time:
    """Monotonic time that the test moves."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def detector() -> Scripted:
    return Scripted()


def ask_blocking(port: Classifier, asked: ClassifierQuery) -> Any:
    return run_sync(port.classify(asked, ["Ann"]))


def ask_suspending(port: Classifier, asked: ClassifierQuery) -> Any:
    return asyncio.run(asyncio.wait_for(port.classify(asked, ["Ann"]), 30))


HOSTS = pytest.mark.parametrize(
    ("host", "ask"),
    [(BlockingClassifier, ask_blocking), (SuspendingClassifier, ask_suspending)],
    ids=["blocking", "suspending"],
)


@HOSTS
def test_answers_pass(host: Any, ask: Ask, detector: Scripted) -> None:
    assert ask(host(detector, 2), query()) == FOUND


@HOSTS
def test_failures_pass(host: Any, ask: Ask, detector: Scripted) -> None:
    detector.error = CallFailedError("500")
    with pytest.raises(CallFailedError, match="500"):
        ask(host(detector, 2), query())


@HOSTS
def test_a_bug_is_not_taken_for_a_failure(host: Any, ask: Ask, detector: Scripted) -> None:
    detector.error = KeyError("x")
    with pytest.raises(KeyError):
        ask(host(detector, 2), query())


@HOSTS
def test_nobody_waits_longer_than_the_time_out(host: Any, ask: Ask, detector: Scripted) -> None:
    detector.release.clear()
    began = time.monotonic()
    with pytest.raises(PortError, match="no answer in time"):
        ask(host(detector, 2), query(timeout_s=0.1))
    assert time.monotonic() - began < 10
    detector.release.set()


@HOSTS
def test_calls_that_hang_do_not_pile_up(host: Any, ask: Ask, detector: Scripted) -> None:
    port = host(detector, 2)
    detector.release.clear()
    for _ in range(5):
        with pytest.raises(PortError, match="no answer in time"):
            ask(port, query(timeout_s=0.05))
    assert detector.calls == detector.most == 2
    detector.release.set()
    assert ask(port, query()) == FOUND
    assert detector.calls == 3, "what waited when its caller gave up was never begun"


@HOSTS
def test_a_detector_that_is_away_is_left_alone_and_probed(
    host: Any, ask: Ask, detector: Scripted
) -> None:
    now = Time()
    port = host(detector, 2, now)
    detector.error = ServiceAwayError("refused")
    for _ in range(3):
        with pytest.raises(ServiceAwayError):
            ask(port, query())
    for _ in range(5):
        with pytest.raises(PortError, match="circuit open"):
            ask(port, query())
    assert detector.calls == 3
    now.s += 1.5
    with pytest.raises(ServiceAwayError):
        ask(port, query())
    with pytest.raises(PortError, match="circuit open"):
        ask(port, query())
    now.s += 1.5
    detector.error = None
    assert ask(port, query()) == FOUND
    assert ask(port, query()) == FOUND


@HOSTS
def test_what_a_text_can_cause_does_not_open_the_breaker(
    host: Any, ask: Ask, detector: Scripted
) -> None:
    port = host(detector, 2)
    detector.error = CallFailedError("500")
    for _ in range(10):
        with pytest.raises(CallFailedError):
            ask(port, query())
    assert detector.calls == 10


@HOSTS
def test_each_service_has_its_own_breaker(host: Any, ask: Ask, detector: Scripted) -> None:
    port = host(detector, 2)
    detector.error = ServiceAwayError("refused")
    for _ in range(3):
        with pytest.raises(ServiceAwayError):
            ask(port, query("http://a.test"))
    detector.error = None
    with pytest.raises(PortError, match="circuit open"):
        ask(port, query("http://a.test"))
    assert ask(port, query("http://b.test")) == FOUND


def test_the_loop_goes_on_while_the_detector_works(detector: Scripted) -> None:
    port = SuspendingClassifier(detector, 2)
    detector.release.clear()

    async def run() -> Any:
        task = asyncio.create_task(port.classify(query(), ["Ann"]))
        assert await asyncio.to_thread(detector.began.wait, 30)
        detector.release.set()
        return await task

    assert asyncio.run(asyncio.wait_for(run(), 30)) == FOUND


def test_a_caller_that_is_cancelled_is_gone_at_once(detector: Scripted) -> None:
    port = SuspendingClassifier(detector, 1)
    detector.release.clear()

    async def run() -> None:
        task = asyncio.create_task(port.classify(query(), ["Ann"]))
        assert await asyncio.to_thread(detector.began.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(run(), 30))
    detector.release.set()
