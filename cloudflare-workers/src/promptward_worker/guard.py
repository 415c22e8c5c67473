"""One guarded request: decide, forward, guard the response, settle.

Fail closed: whatever raises before the origin was asked is a refusal; whatever raises after it
withholds the response and settles the reservation as unanswered.

A client that goes away cancels everything its request still waits for, unless `waitUntil` holds
it: from the moment budget is reserved, the rest runs under it, so that the request is settled by
what it really used (Cloudflare grants 30 s after the client is gone).
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine

import js

from promptward.decision import Allow, Deny, HeaderPairs
from promptward.engine import EngineApi, ResponsePlan, StreamEnd
from promptward.exchange import Exchange, Headers, Response
from promptward.values import value_object
from promptward_worker import codec, javascript, origin, turns
from promptward_worker.failures import failure_event
from promptward_worker.settings import WorkerSettings
from promptward_worker.streaming import GuardedStream

_UPSTREAM_ERROR = "upstream_error"


@value_object(frozen=True, slots=True)
class Guard:
    """What one request needs.

    Attributes:
        engine: with this request's ports.
        settings: the Worker's variables.
        context: for `waitUntil`.
        answered: the promise of this request's answer.
        service: the service binding ORIGIN, if there is one.
        max_response_bytes: largest response that is read as a whole.
    """

    engine: EngineApi
    settings: WorkerSettings
    context: js.ExecutionContext
    answered: Awaitable[js.Response]
    service: js.Fetcher | None
    max_response_bytes: int

    async def answer(self, exchange: Exchange, url: str) -> js.Response:
        """Decide and, when allowed, forward.

        Args:
            exchange: the request.
            url: its URL.
        """
        decision = await self.engine.on_request(exchange)
        if isinstance(decision, Deny):
            return refusal(decision)
        self.context.waitUntil(self.answered)
        return await self._forward(exchange, decision, url)

    async def _forward(self, exchange: Exchange, allow: Allow, url: str) -> js.Response:
        try:
            answer = await self._send(exchange, allow, url)
        except Exception as error:  # noqa: BLE001 - every failure is a refusal
            return await self._unanswered(exchange, allow, error)
        try:
            return await self._respond(allow, answer)
        except Exception as error:  # noqa: BLE001 - every failure withholds the response
            return await self._unanswered(exchange, allow, error)

    async def _send(self, exchange: Exchange, allow: Allow, url: str) -> javascript.Answered:
        headers = codec.upstream_headers(exchange.headers, allow.mutations)
        headers = codec.client_headers(headers, origin.credential(self.settings))
        body = exchange.body.data if allow.mutations.body is None else allow.mutations.body
        target = origin.upstream_url(self.settings, url, exchange.path)
        outgoing = origin.Outgoing(exchange.method, headers, body)
        # of what was not parsed nobody reads the answer
        max_bytes = self.max_response_bytes if allow.ticket.protocol else 0
        return await origin.send(self.settings, self.service, target, outgoing, max_bytes)

    async def _unanswered(self, exchange: Exchange, allow: Allow, error: Exception) -> js.Response:
        javascript.log(failure_event(_UPSTREAM_ERROR, error))
        headers = await self.engine.on_no_response(allow.ticket, _UPSTREAM_ERROR)
        return refusal(self.engine.fail_closed(exchange, _UPSTREAM_ERROR), headers)

    async def _respond(self, allow: Allow, answer: javascript.Answered) -> js.Response:
        ticket, status, response = allow.ticket, answer.status, answer.response
        headers = Headers(codec.readable_headers(answer.headers))
        plan = self.engine.plan_response(ticket, status, headers)
        shown = codec.client_headers(headers.pairs, allow.response_headers)
        if plan is ResponsePlan.BUFFER:
            body = answer.body
            if body is None:
                body = await javascript.read_body(response, self.max_response_bytes)
            return await self._buffered(allow, Response(status, headers, body), shown)
        if plan is ResponsePlan.PASS:
            self._later(self.engine.on_unseen_response(ticket, status))
            if answer.body is not None:
                return javascript.response(status, shown, answer.body.data or None)
            return javascript.response(status, shown, javascript.body_stream(response))
        shown = codec.apply(shown, self.engine.response_headers(ticket, headers))
        guard = self.engine.open_stream(ticket, status, headers)
        source = javascript.body_stream(response)
        if source is None:
            await self.engine.close_stream(ticket, guard, StreamEnd.COMPLETE)
            return javascript.response(status, shown, None)
        stream = GuardedStream(guard)
        self._later(self._pump(allow, stream, source))
        return javascript.response(status, shown, stream.readable)

    async def _buffered(
        self, allow: Allow, response: Response, shown: javascript.Fields
    ) -> js.Response:
        verdict = await self.engine.on_response(allow.ticket, response)
        if isinstance(verdict, Deny):
            return refusal(verdict, allow.response_headers)
        content = response.body.data if verdict.mutations.body is None else verdict.mutations.body
        shown = codec.apply(shown, verdict.mutations)
        return javascript.response(response.status, shown, content or None)

    async def _pump(self, allow: Allow, stream: GuardedStream, source: js.ReadableStream) -> None:
        end = await stream.run(source)
        await self.engine.close_stream(allow.ticket, stream.guard, end)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        """Finish `work` after the response has begun, even if the client is gone."""

        async def logged() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - nobody else will see it
                javascript.log(failure_event("settle_failed", error))

        self.context.waitUntil(turns.begin(logged()))


def refusal(deny: Deny, extra: HeaderPairs = ()) -> js.Response:
    """The finished answer of a denial; its own fields win over `extra`."""
    own = {name for name, _ in deny.headers}
    headers = [*deny.headers, *((n, v) for n, v in extra if n not in own)]
    return javascript.response(deny.status, headers, deny.body)
