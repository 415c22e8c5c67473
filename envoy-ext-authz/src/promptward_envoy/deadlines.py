"""A deadline for each question to the engine, from the moment on at which it waits.

Only a key server, a ledger or a classifier makes the engine wait, and most questions are answered
without one. Setting a timer for every message took 7 us each, 0.3 ms for a stream of forty events.
Questions about large bodies have theirs from the moment on at which they wait for the side thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any, TypeVar

from promptward.decision import Allow, Decision, Deny, HeaderPairs, Mutations, Ticket
from promptward.engine import (
    EngineApi,
    ResponseDecision,
    ResponsePlan,
    StreamEnd,
    StreamGuard,
)
from promptward.exchange import Exchange, Headers, Response
from promptward_envoy.offload import SideThread, is_large

T = TypeVar("T")


async def within(deadline_s: float, question: Coroutine[Any, Any, T]) -> T:
    """The answer to `question`.

    Args:
        deadline_s: longest time it may wait, in seconds.
        question: an unstarted coroutine.

    Raises:
        TimeoutError: it waited for longer.
    """
    try:
        awaited = question.send(None)
    except StopIteration as answered:
        answer: T = answered.value
        return answer
    async with asyncio.timeout(deadline_s):
        return await _resumed(question, awaited)


@coroutine
def _resumed(question: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Drive `question`, which waits for `awaited`, to its end."""
    try:
        while True:
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is for the question
                awaited = question.throw(error)
            else:
                awaited = question.send(sent)
    except StopIteration as answered:
        answer: T = answered.value
        return answer


async def give_back(engine: EngineApi, decision: Decision) -> None:
    """Release what a decision has reserved that came too late: the request has been refused."""
    if isinstance(decision, Allow):
        await engine.on_no_response(decision.ticket, "answered_too_late")


class DeadlineEngine:
    """`EngineApi` of `engine`; what takes longer than `deadline_s` raises TimeoutError.

    Args:
        engine: answers.
        deadline_s: most time for one answer, in seconds.
        aside: where large bodies are read.
    """

    __slots__ = ("_aside", "_deadline_s", "_engine")

    def __init__(self, engine: EngineApi, deadline_s: float, aside: SideThread) -> None:
        self._engine = engine
        self._deadline_s = deadline_s
        self._aside = aside

    async def on_request(self, exchange: Exchange, *, sees_response: bool = True) -> Decision:
        asked = self._engine.on_request(exchange, sees_response=sees_response)
        if is_large(exchange.headers, exchange.body.data):
            size = len(exchange.body.data)
            return await self._aside.ask(asked, partial(give_back, self._engine), size)
        return await within(self._deadline_s, asked)

    def plan_response(self, ticket: Ticket, status: int, headers: Headers) -> ResponsePlan:
        return self._engine.plan_response(ticket, status, headers)

    def response_headers(self, ticket: Ticket, headers: Headers) -> Mutations:
        return self._engine.response_headers(ticket, headers)

    async def on_response(self, ticket: Ticket, response: Response) -> ResponseDecision:
        asked = self._engine.on_response(ticket, response)
        if is_large(response.headers, response.body.data):
            return await self._aside.read(asked)
        return await within(self._deadline_s, asked)

    def open_stream(self, ticket: Ticket, status: int, headers: Headers) -> StreamGuard:
        return self._engine.open_stream(ticket, status, headers)

    async def close_stream(self, ticket: Ticket, guard: StreamGuard, end: StreamEnd) -> None:
        await within(self._deadline_s, self._engine.close_stream(ticket, guard, end))

    async def on_unseen_response(self, ticket: Ticket, status: int) -> None:
        await within(self._deadline_s, self._engine.on_unseen_response(ticket, status))

    async def on_no_response(self, ticket: Ticket, reason: str) -> HeaderPairs:
        return await within(self._deadline_s, self._engine.on_no_response(ticket, reason))

    def fail_closed(self, exchange: Exchange | None, reason: str) -> Deny:
        return self._engine.fail_closed(exchange, reason)
