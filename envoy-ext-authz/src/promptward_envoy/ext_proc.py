"""The ext_proc v3 service: one bidirectional stream for each exchange.

The rule that everything here serves: **a stream that ends cleanly before its exchange is done is
fail open**, whatever `failure_mode_allow` says. So a fault is answered with a finished denial while
the answer's headers are still ours to write, and otherwise the stream ends with a non-OK status,
which makes Envoy fail the exchange.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from time import perf_counter

import grpc

from promptward_envoy.admission import Admission, OverloadedError
from promptward_envoy.deadlines import DeadlineEngine
from promptward_envoy.descriptors import Message
from promptward_envoy.engines import EngineSource, UnknownPolicyError
from promptward_envoy.ext_proc_session import ExchangeSession, SessionError
from promptward_envoy.faults import log_fault
from promptward_envoy.metrics import Metrics
from promptward_envoy.offload import SideThread

FILTER = "ext_proc"
# gRPC metadata a route sets through ExtProcPerRoute.overrides.grpc_initial_metadata.
POLICY_METADATA = "x-promptward-policy"
ROUTE_METADATA = "x-promptward-route"

Context = grpc.aio.ServicerContext[Message, Message]
Problem = tuple[grpc.StatusCode, str]
Metadata = Iterable[tuple[str, str | bytes]]

_log = logging.getLogger("promptward.envoy")


class Processor:
    """Implements `envoy.service.ext_proc.v3.ExternalProcessor/Process`.

    Args:
        engines: finds the engine of a policy by name.
        admission: bounds the work and keeps late settlements.
        metrics: counts.
        deadline_s: most time for one answer of the engine, in seconds.
        max_body_bytes: most that is held of one response, and most that one may inflate to.
        aside: where large bodies are read.
    """

    def __init__(
        self,
        engines: EngineSource,
        admission: Admission,
        metrics: Metrics,
        deadline_s: float,
        max_body_bytes: int,
        aside: SideThread,
    ) -> None:
        self._engines = engines
        self._admission = admission
        self._metrics = metrics
        self._seconds = metrics.seconds.labels(FILTER)
        self._deadline_s = deadline_s
        self._max_body_bytes = max_body_bytes
        self._aside = aside

    async def process(self, _messages: AsyncIterator[Message], context: Context) -> None:
        """Serve one stream to its end.

        The work is a task of its own, because grpc cancels this one when Envoy resets the stream,
        which is how every exchange ends. So nothing is interrupted half-way (a reservation being
        made, a settlement), and no read is cancelled while it is under way, which would leak its
        native memory (github.com/grpc/grpc/issues/43360; measured 100 bytes for each exchange).
        Only a large request whose turn has not come is forgotten: of it nothing has been done.
        """
        stream = _Stream(context)
        work = asyncio.ensure_future(self._serve(stream, context.invocation_metadata() or ()))
        self._admission.wait_for(work)
        try:
            problem = await asyncio.shield(work)
        except asyncio.CancelledError:
            stream.gone = True
            self._aside.forget(work)
            raise
        if problem is not None:
            await context.abort(*problem)

    async def _serve(self, stream: _Stream, metadata: Metadata) -> Problem | None:
        admitted = self._admission.enter()
        try:
            settings = dict(metadata)
            refusal = "" if admitted else "overloaded"
            try:
                policy = self._engines.policy(str(settings.get(POLICY_METADATA, "")))
            except UnknownPolicyError:
                policy, refusal = self._engines.policy(""), "unknown_policy"
            route = str(settings.get(ROUTE_METADATA, ""))
            engine = DeadlineEngine(policy.engine, self._deadline_s, self._aside)
            session = ExchangeSession(
                engine, route, self._max_body_bytes, self._metrics, self._aside
            )
            return await self._run(session, stream, refusal)
        finally:
            self._admission.leave()

    async def _run(self, session: ExchangeSession, stream: _Stream, refusal: str) -> Problem | None:
        """Answer messages until the stream ends; the status to end it with, None for OK."""
        try:
            while (message := await stream.read()) is not None:
                problem = await self._answer(session, message, stream, refusal)
                if problem is not None:
                    return problem
        finally:
            # Whatever happened to the stream: what was granted must be settled.
            if session.owes_settlement:
                self._admission.settle_later(self._settle(session))
        if session.finished:
            return None
        return grpc.StatusCode.ABORTED, "the stream ended before its exchange"

    async def _answer(
        self, session: ExchangeSession, message: Message, stream: _Stream, refusal: str
    ) -> Problem | None:
        started = perf_counter()
        try:
            if refusal:
                return await self._fail(session, stream, refusal)
            for answer in await session.handle(message):
                await stream.write(answer)
        except SessionError as error:
            _log.error("ext_proc stream reset: %s", error)
            self._metrics.failures.labels(FILTER, "protocol").inc()
            return grpc.StatusCode.FAILED_PRECONDITION, str(error)
        except OverloadedError:
            return await self._fail(session, stream, "overloaded")
        except TimeoutError:
            return await self._fail(session, stream, "deadline_exceeded")
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may pass
            log_fault(FILTER, error)
            return await self._fail(session, stream, "internal_error")
        finally:
            self._seconds.observe(perf_counter() - started)
        return None

    async def _fail(self, session: ExchangeSession, stream: _Stream, reason: str) -> Problem:
        """Deny while that is possible; otherwise give the status to end the stream with."""
        self._metrics.failures.labels(FILTER, reason).inc()
        try:
            denial = session.fail_closed(reason)
            if denial is not None:
                await stream.write(denial)
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


class _Stream:
    """The messages of one call, until it is gone.

    Invariant: nothing is asked of a call that grpc has cancelled, whose memory it has given up.

    Args:
        context: the call.

    Attributes:
        gone: set when the call is cancelled; reads then end and writes go nowhere.
    """

    __slots__ = ("_context", "gone")

    def __init__(self, context: Context) -> None:
        self._context = context
        self.gone = False

    async def read(self) -> Message | None:
        """The next message; None at the end of the stream."""
        if self.gone:
            return None
        message = await self._context.read()
        return None if message is grpc.aio.EOF else message  # type: ignore[attr-defined]

    async def write(self, message: Message) -> None:
        """Send one message, unless there is nobody to send it to."""
        if self.gone:
            return
        try:
            await self._context.write(message)
        except Exception:
            if not self.gone:
                raise
