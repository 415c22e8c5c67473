"""Every question that the engine may take its time over has a deadline."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from promptward.engine import EngineApi, StreamEnd
from promptward.exchange import Body, Exchange, Headers, Response
from promptward.sync import run_sync
from promptward_envoy.admission import Admission
from promptward_envoy.deadlines import DeadlineEngine, within
from promptward_envoy.metrics import Metrics
from promptward_envoy.offload import SideThread

SMALL = Body(b"{}")
QUESTIONS = {
    "on_request": (Exchange("POST", "api.test", "/", Headers(), SMALL, ""),),
    "on_response": (None, Response(200, Headers(), SMALL)),
    "close_stream": (None, None, StreamEnd.COMPLETE),
    "on_unseen_response": (None, 200),
    "on_no_response": (None, "client_gone"),
}


class Slow:
    """Answers any question when told to."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        async def answer(*arguments: Any, **named: Any) -> str:
            assert set(named) <= {"sees_response"}
            self.asked.append((name, arguments))
            await self.gate.wait()
            return "answer"

        return answer


def deadlined(engine: Any, deadline_s: float) -> DeadlineEngine:
    metrics = Metrics()
    aside = SideThread(Admission(9, metrics.in_flight), metrics.large, deadline_s)
    return DeadlineEngine(engine, deadline_s, aside)


def test_no_question_is_forgotten() -> None:
    waiting = {n for n, f in inspect.getmembers(EngineApi) if inspect.iscoroutinefunction(f)}
    assert waiting == set(QUESTIONS)


@pytest.mark.parametrize("name", QUESTIONS)
def test_question_that_takes_too_long_is_given_up(name: str) -> None:
    async def scenario() -> None:
        engine = deadlined(Slow(), 0.01)
        with pytest.raises(TimeoutError):
            await getattr(engine, name)(*QUESTIONS[name])

    asyncio.run(scenario())


@pytest.mark.parametrize("name", QUESTIONS)
def test_question_is_passed_on_as_it_is(name: str) -> None:
    async def scenario() -> None:
        slow = Slow()
        slow.gate.set()
        await getattr(deadlined(slow, 5), name)(*QUESTIONS[name])
        assert slow.asked == [(name, QUESTIONS[name])]

    asyncio.run(scenario())


def test_question_hears_of_everything_it_waits_for() -> None:
    async def question(first: asyncio.Future[str], second: asyncio.Future[str]) -> list[object]:
        heard: list[object] = [await first]
        await asyncio.sleep(0)
        try:
            await second
        except KeyError as error:
            heard.append(error.args)
        return heard

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        loop.call_soon(first.set_result, "a result")
        loop.call_later(0.001, second.set_exception, KeyError("an error"))
        assert await within(5, question(first, second)) == ["a result", ("an error",)]

    asyncio.run(scenario())


def test_question_that_never_waits_needs_no_loop() -> None:
    async def question() -> str:
        return "answer"

    assert run_sync(within(5, question())) == "answer"


def test_question_that_is_cancelled_while_it_waits_can_clean_up() -> None:
    cleaned: list[str] = []

    async def question() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("up")

    async def scenario() -> None:
        asked = asyncio.ensure_future(within(5, question()))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert cleaned == ["up"]

    asyncio.run(scenario())
