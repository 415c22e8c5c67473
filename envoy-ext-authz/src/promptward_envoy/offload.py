"""Read large bodies in a thread of their own, so that everything else stays answered meanwhile.

Reading takes up to 2 us a byte: four megabytes would keep the event loop from health checks, small
requests and open streams for seconds. A question to the engine is a coroutine without a loop of its
own (docs/adr/0001), so the steps of a large one run in a thread, and what it awaits is handed back
to the loop, where its ports belong (`on_loop`). The interpreter lets both take turns.

Invariants: one question at a time, first come, first served; small bodies never come here. What
waits is bounded in bytes, and leaves room for small requests within `max_in_flight`. A step
under way cannot be interrupted, so a question that has begun is driven to its end, whoever still
waits for it: what it reserves it settles. One whose time is up before its turn never begins.

See docs/adr/0026.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from types import coroutine
from typing import Any, TypeVar

from prometheus_client import Gauge

from promptward.exchange import Headers
from promptward_envoy.admission import Admission, OverloadedError
from promptward_envoy.faults import log_fault

T = TypeVar("T")

LARGE_BYTES = 128 * 1024
"""From here on a body is large. The worst text of this size takes 0.1 to 0.2 s, an ordinary one
2 ms, and the way to the thread and back 0.4 ms."""

TURN_S = 0.001
"""How long a thread computes before others may; with Python's 5 ms a small request, which waits for
several turns, takes twice as long while a large body is being read."""


def is_large(headers: Headers, data: bytes) -> bool:
    """Whether reading a body may take noticeably long; what a compressed one grows to is unknown.

    Args:
        headers: of the same message.
        data: the body as it came.
    """
    return len(data) >= LARGE_BYTES or bool(data and headers.get_all("content-encoding"))


class _Here(threading.local):
    """What is true of the current thread."""

    aside = False


_here = _Here()


def on_loop(question: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """What an engine awaits to have `question` answered on the event loop.

    Args:
        question: an unstarted coroutine of a port that belongs to the loop.
    """
    return _handed_over(question) if _here.aside else question


async def _handed_over(question: Coroutine[Any, Any, T]) -> T:
    return await _ask_driver(question)


@coroutine
def _ask_driver(question: Coroutine[Any, Any, T]) -> Generator[Coroutine[Any, Any, T], T, T]:
    """Give `question` to `SideThread`, which drives this one, and get its answer back."""
    return (yield question)


class SideThread:
    """The thread of large bodies.

    Args:
        admission: lets a drain wait for what nobody else waits for any more.
        gauge: shows how many are being read or wait for it.
        deadline_s: most time for one answer, in seconds, waiting for its turn included.
    """

    def __init__(self, admission: Admission, gauge: Gauge, deadline_s: float) -> None:
        self._admission = admission
        self._gauge = gauge
        self._deadline_s = deadline_s
        self._turn = asyncio.Lock()
        self._queued: dict[asyncio.Task[Any] | None, int] = {}  # and how large
        self._thread = ThreadPoolExecutor(1, "promptward-large", _mark_thread)

    async def ask(
        self,
        question: Coroutine[Any, Any, T],
        unheard: Callable[[T], Coroutine[Any, Any, None]] | None = None,
        size: int = LARGE_BYTES,
    ) -> T:
        """The answer to `question`.

        Args:
            question: an unstarted coroutine that awaits nothing but `on_loop`.
            unheard: what to do with an answer that comes when nobody waits for it any more.
            size: of the body it is about, in bytes.

        Raises:
            OverloadedError: too many bytes wait for their turn.
            TimeoutError: it took longer than the deadline.
        """
        async with asyncio.timeout(self._deadline_s):
            caller = asyncio.current_task()
            self._queued[caller] = self._room_for(question, size)
            try:
                work = await self._begin(question)
            finally:
                del self._queued[caller]
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                self._admission.settle_later(_hear_out(work, unheard))
                raise

    def forget(self, caller: asyncio.Task[Any]) -> None:
        """Cancel `caller` if it has asked and its turn has not come; nobody wants the answer."""
        if caller in self._queued:
            caller.cancel()

    async def read(self, question: Coroutine[Any, Any, T]) -> T:
        """As `ask`, but of a response, which nothing else limits: waits for what has begun.

        Raises:
            TimeoutError: its turn did not come before the deadline.
        """
        async with asyncio.timeout(self._deadline_s):
            work = await self._begin(question)
        return await asyncio.shield(work)

    def _room_for(self, question: Coroutine[Any, Any, Any], size: int) -> int:
        """What a body takes of the queue: one for each LARGE_BYTES, of half the exchanges."""
        takes = max(1, -(-size // LARGE_BYTES))
        if self._queued and sum(self._queued.values()) + takes > self._admission.half:
            question.close()
            raise OverloadedError
        return takes

    async def _begin(self, question: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Wait for the turn of `question`, then have it driven to its end."""
        self._gauge.inc()
        try:
            await self._turn.acquire()
        except BaseException:
            self._gauge.dec()
            question.close()
            raise
        work = asyncio.ensure_future(self._drive(question))
        work.add_done_callback(self._end)
        self._admission.wait_for(work)
        return work

    def _end(self, _work: asyncio.Task[Any]) -> None:
        self._turn.release()
        self._gauge.dec()

    async def _drive(self, question: Coroutine[Any, Any, T]) -> T:
        loop = asyncio.get_running_loop()
        resume: Callable[[Any], Any] = question.send
        value: Any = None
        while True:
            over, value = await loop.run_in_executor(self._thread, _step, resume, value)
            if over:
                answer: T = value
                return answer
            try:
                resume, value = question.send, await value
            except Exception as error:  # noqa: BLE001 - whatever it is, it is for the question
                resume, value = question.throw, error


def _mark_thread() -> None:
    _here.aside = True
    sys.setswitchinterval(TURN_S)  # of the process; nobody contends before there is this thread


def _step(resume: Callable[[Any], Any], value: object) -> tuple[bool, Any]:
    """Whether the question is over, and its answer or what it asks the loop."""
    try:
        return False, resume(value)
    except StopIteration as answered:
        return True, answered.value


async def _hear_out(
    work: asyncio.Task[T], unheard: Callable[[T], Coroutine[Any, Any, None]] | None
) -> None:
    try:
        answer = await work
        if unheard is not None:
            await unheard(answer)
    except Exception as error:  # noqa: BLE001 - it was answered with a denial already
        log_fault("large body", error)
