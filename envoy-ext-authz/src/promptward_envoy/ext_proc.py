"""The ext_proc v3 service: one bidirectional stream for each exchange.

The rule that everything here serves: **a stream that ends cleanly before its exchange is done is
fail open**, whatever `failure_mode_allow` says. So a fault is answered with a finished denial while
the answer's headers are still ours to write, and otherwise the stream ends with a non-OK status,
which makes Envoy fail the exchange.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from time import perf_counter

import grpc

from promptward_envoy.admission import Admission
from promptward_envoy.descriptors import Message
from promptward_envoy.engines import EngineSource, UnknownPolicyError
from promptward_envoy.ext_proc_session import ExchangeSession, SessionError
from promptward_envoy.faults import log_fault
from promptward_envoy.metrics import Metrics

FILTER = "ext_proc"
# gRPC metadata a route sets through ExtProcPerRoute.overrides.grpc_initial_metadata.
POLICY_METADATA = "x-promptward-policy"
ROUTE_METADATA = "x-promptward-route"

Context = grpc.aio.ServicerContext[Message, Message]
Problem = tuple[grpc.StatusCode, str]

_log = logging.getLogger("promptward.envoy")


class Processor:
    """Implements `envoy.service.ext_proc.v3.ExternalProcessor/Process`.

    Args:
        engines: finds the engine of a policy by name.
        admission: bounds the work and keeps late settlements.
        metrics: counts.
        deadline_s: most time for the answer to one message, in seconds.
        max_body_bytes: most that is held of one response, and most that one may inflate to.
    """

    def __init__(
        self,
        engines: EngineSource,
        admission: Admission,
        metrics: Metrics,
        deadline_s: float,
        max_body_bytes: int,
    ) -> None:
        self._engines = engines
        self._admission = admission
        self._metrics = metrics
        self._seconds = metrics.seconds.labels(FILTER)
        self._deadline_s = deadline_s
        self._max_body_bytes = max_body_bytes

    async def process(self, _messages: AsyncIterator[Message], context: Context) -> None:
        """Serve one stream to its end."""
        admitted = self._admission.enter()
        try:
            settings = dict(context.invocation_metadata() or ())
            refusal = "" if admitted else "overloaded"
            try:
                policy = self._engines.policy(str(settings.get(POLICY_METADATA, "")))
            except UnknownPolicyError:
                policy, refusal = self._engines.policy(""), "unknown_policy"
            route = str(settings.get(ROUTE_METADATA, ""))
            session = ExchangeSession(policy.engine, route, self._max_body_bytes, self._metrics)
            problem = await self._run(session, context, refusal)
        finally:
            self._admission.leave()
        if problem is not None:
            await context.abort(*problem)

    async def _run(
        self, session: ExchangeSession, context: Context, refusal: str
    ) -> Problem | None:
        """Answer messages until the stream ends; the status to end it with, None for OK."""
        try:
            while (message := await _receive(context)) is not None:
                problem = await self._answer(session, message, context, refusal)
                if problem is not None:
                    return problem
        finally:
            # Also when cancelled: the client is gone, but what was granted must be settled.
            if session.owes_settlement:
                self._admission.settle_later(self._settle(session))
        if session.finished:
            return None
        return grpc.StatusCode.ABORTED, "the stream ended before its exchange"

    async def _answer(
        self, session: ExchangeSession, message: Message, context: Context, refusal: str
    ) -> Problem | None:
        started = perf_counter()
        try:
            if refusal:
                return await self._fail(session, context, refusal)
            async with asyncio.timeout(self._deadline_s):
                answers = await session.handle(message)
            for answer in answers:
                await context.write(answer)
        except SessionError as error:
            _log.error("ext_proc stream reset: %s", error)
            self._metrics.failures.labels(FILTER, "protocol").inc()
            return grpc.StatusCode.FAILED_PRECONDITION, str(error)
        except TimeoutError:
            return await self._fail(session, context, "deadline_exceeded")
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may pass
            log_fault(FILTER, error)
            return await self._fail(session, context, "internal_error")
        finally:
            self._seconds.observe(perf_counter() - started)
        return None

    async def _fail(self, session: ExchangeSession, context: Context, reason: str) -> Problem:
        """Deny while that is possible; otherwise give the status to end the stream with."""
        self._metrics.failures.labels(FILTER, reason).inc()
        try:
            denial = session.fail_closed(reason)
            if denial is not None:
                await context.write(denial)
        except Exception as error:  # noqa: BLE001 - the status below still fails the exchange
            log_fault(FILTER, error)
        # After a denial Envoy has closed its side; the status then changes nothing.
        return grpc.StatusCode.INTERNAL, reason

    async def _settle(self, session: ExchangeSession) -> None:
        try:
            await session.abandon()
        except Exception as error:  # noqa: BLE001 - the reservation expires as estimated
            log_fault(FILTER, error)
            self._metrics.failures.labels(FILTER, "settlement").inc()


async def _receive(context: Context) -> Message | None:
    """The next message; None at the end of the stream.

    Read in a task of its own: Envoy resets every stream, and a read that is cancelled while it is
    under way leaks its native memory (github.com/grpc/grpc/issues/43360; measured 100 bytes for
    each exchange without this, none with it).
    """
    reading = asyncio.ensure_future(context.read())
    try:
        message = await asyncio.shield(reading)
    except asyncio.CancelledError:
        reading.add_done_callback(_forget)
        raise
    return None if message is grpc.aio.EOF else message  # type: ignore[attr-defined]


def _forget(reading: asyncio.Future[Message]) -> None:
    """Take the outcome nobody waits for, so that the loop does not report it as lost."""
    if not reading.cancelled():
        reading.exception()
