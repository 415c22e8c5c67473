"""One HTTP exchange on one ext_proc stream: a state machine between Envoy and the engine.

    HEAD ─▶ BODY ─▶ UPSTREAM ─▶ WHOLE | STREAM ─▶ DONE

Invariants:

- Every message is answered with what Envoy waits for, or the session raises `SessionError` and the
  stream ends with a non-OK status. Ending it cleanly before DONE would be fail open: Envoy goes on
  without us even with `failure_mode_allow: false`.
- A granted request is settled, whichever way the stream ends (`abandon`). DONE is entered only
  after the engine has settled; repeating a settlement is harmless, forgetting one is not.
- The engine is fixed when the stream opens: a reload does not touch exchanges in flight.

The session does no I/O of its own and knows no gRPC, so its tests are transcripts of messages.
"""

from __future__ import annotations

from enum import Enum, auto

from promptward.decision import Deny, HeaderPairs, Mutations, Ticket
from promptward.engine import EngineApi, ResponsePlan, StreamEnd, StreamGuard
from promptward.exchange import Body, Exchange, Headers, Response
from promptward_envoy import codec_ext_proc as codec
from promptward_envoy.content_coding import Inflater, UnsupportedCodingError
from promptward_envoy.descriptors import Message
from promptward_envoy.metrics import Metrics


class SessionError(Exception):
    """The stream cannot go on; it must end with a non-OK status. Text names no content."""


class State(Enum):
    """What the session waits for."""

    HEAD = auto()
    BODY = auto()
    UPSTREAM = auto()
    WHOLE = auto()
    STREAM = auto()
    DONE = auto()


class ExchangeSession:
    """Answers the messages of one stream in order.

    Args:
        engine: decides; used for the whole exchange.
        route: route name from the route's own settings; empty lets Envoy's attribute name it.
        max_inflated_bytes: most that a compressed response may grow to.
        metrics: counts decisions.
    """

    def __init__(
        self, engine: EngineApi, route: str, max_inflated_bytes: int, metrics: Metrics
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._route = route
        self._max_inflated_bytes = max_inflated_bytes
        self.state = State.HEAD
        self._exchange: Exchange | None = None
        self._ticket: Ticket | None = None
        self._answer_headers: HeaderPairs = ()
        self._status = 0
        self._headers = Headers()
        self._guard: StreamGuard | None = None
        self._inflater: Inflater | None = None

    async def handle(self, message: Message) -> tuple[Message, ...]:
        """The answers to one message: one, except in full duplex, where chunks need not match.

        Raises:
            SessionError: a message out of order, or a configuration that could pass unread bytes.
        """
        kind = message.WhichOneof("request")
        if kind == "request_headers" and self.state is State.HEAD:
            return (await self._on_request_headers(message),)
        if kind == "request_body" and self.state is State.BODY:
            return (await self._on_request_body(message),)
        if kind == "response_headers" and self.state is State.HEAD:
            return (self._on_foreign_reply(message),)
        if kind == "response_headers" and self.state in (State.BODY, State.UPSTREAM):
            return (await self._on_response_headers(message),)
        if kind == "response_body" and self.state is State.WHOLE:
            return (await self._on_whole_body(message.response_body.body),)
        if kind == "response_body" and self.state is State.STREAM:
            body = message.response_body
            return await self._on_chunk(body.body, ended=body.end_of_stream)
        if kind == "response_trailers" and self.state is State.STREAM:
            return await self._on_chunk(b"", ended=True, trailers=True)
        if kind in ("response_body", "response_trailers") and self.state is State.DONE:
            return self._pass_on(kind)
        raise SessionError(f"unexpected {kind} while in {self.state.name}")

    @property
    def owes_settlement(self) -> bool:
        """Whether a granted request still waits for its one settlement."""
        return self._ticket is not None and self.state is not State.DONE

    async def abandon(self) -> None:
        """The stream ended; settle what was granted. Harmless after DONE."""
        ticket, state = self._ticket, self.state
        self.state = State.DONE
        if ticket is None or state is State.DONE:
            return
        if state is State.STREAM and self._guard is not None:
            await self._engine.close_stream(ticket, self._guard, StreamEnd.CLIENT_GONE)
        elif state is State.WHOLE:
            await self._engine.on_unseen_response(ticket, self._status)
        else:
            await self._engine.on_no_response(ticket, "client_gone")

    def fail_closed(self, reason: str) -> Message | None:
        """The answer to a failure of ours, or None where only resetting the stream is left."""
        if self.state is State.STREAM or self.state is State.DONE:
            return None
        return codec.immediate(self._engine.fail_closed(self._exchange, reason))

    async def _on_request_headers(self, message: Message) -> Message:
        self._exchange = codec.exchange_from_headers(message, self._route)
        if not codec.buffers_whole_bodies(message):
            raise SessionError("ext_proc must be configured with both body modes BUFFERED")
        if message.request_headers.end_of_stream:
            return await self._decide(self._exchange, has_body=False)
        self.state = State.BODY
        return codec.continue_request_headers()

    async def _on_request_body(self, message: Message) -> Message:
        assert self._exchange is not None
        exchange = codec.with_body(self._exchange, message.request_body.body)
        return await self._decide(exchange, has_body=True)

    async def _decide(self, exchange: Exchange, *, has_body: bool) -> Message:
        decision = await self._engine.on_request(exchange)
        self._metrics.count_decision("ext_proc", decision)
        if isinstance(decision, Deny):
            self.state = State.DONE
            return codec.immediate(decision)
        self._ticket = decision.ticket
        self._answer_headers = decision.response_headers
        self.state = State.UPSTREAM
        return codec.allow_request(decision, exchange.headers, has_body=has_body)

    def _on_foreign_reply(self, message: Message) -> Message:
        """Response headers of a request that never came here: another filter answered it."""
        if codec.came_from_upstream(message) is not False:
            raise SessionError(
                "a response came before its request (response.code_details missing?)"
            )
        self.state = State.DONE
        return codec.response_headers(Mutations(), Headers(), codec.BODY_MODE_NONE)

    async def _on_response_headers(self, message: Message) -> Message:
        from_upstream = codec.came_from_upstream(message)
        if self.state is State.BODY:
            # Envoy answered before the body was whole (413 for one over its buffer, 408).
            if from_upstream is not False:
                raise SessionError("an upstream answered a request whose body was never inspected")
            return self._on_foreign_reply(message)
        assert self._ticket is not None
        self._status, self._headers = codec.response_head(message)
        ended = bool(message.response_headers.end_of_stream)
        if from_upstream is False:
            pairs = await self._engine.on_no_response(self._ticket, "upstream_error")
            self.state = State.DONE
            changes = Mutations(set_headers=self._answer_headers + tuple(pairs))
            return codec.response_headers(changes, self._headers, codec.BODY_MODE_NONE)
        plan = self._engine.plan_response(self._ticket, self._status, self._headers)
        if plan is ResponsePlan.PASS:
            return await self._pass_unseen(self._ticket)
        if ended:
            return await self._without_body(self._ticket)
        if plan is ResponsePlan.BUFFER:
            self.state = State.WHOLE
            return codec.response_headers(Mutations(), self._headers, None)
        try:
            self._inflater = Inflater.for_headers(self._headers, self._max_inflated_bytes)
        except UnsupportedCodingError as error:
            return await self._refuse(self._ticket, str(error))
        return self._open_stream(self._ticket)

    async def _pass_unseen(self, ticket: Ticket) -> Message:
        await self._engine.on_unseen_response(ticket, self._status)
        self.state = State.DONE
        changes = Mutations(set_headers=self._answer_headers)
        return codec.response_headers(changes, self._headers, codec.BODY_MODE_NONE)

    async def _refuse(self, ticket: Ticket, reason: str) -> Message:
        await self._engine.on_unseen_response(ticket, self._status)
        self.state = State.DONE
        return codec.immediate(
            self._engine.fail_closed(self._exchange, reason), self._answer_headers
        )

    async def _without_body(self, ticket: Ticket) -> Message:
        response = Response(self._status, self._headers, Body())
        decision = await self._engine.on_response(ticket, response)
        self.state = State.DONE
        if isinstance(decision, Deny):
            return codec.immediate(decision, self._answer_headers)
        changes = self._with_answer_headers(decision.mutations)
        return codec.response_headers(
            Mutations(changes.set_headers, changes.remove_headers), self._headers, None
        )

    def _open_stream(self, ticket: Ticket) -> Message:
        changes = self._with_answer_headers(self._engine.response_headers(ticket, self._headers))
        removed = ("content-length", *changes.remove_headers)
        if self._inflater is not None:
            removed += ("content-encoding",)
        self._guard = self._engine.open_stream(ticket, self._status, self._headers)
        self.state = State.STREAM
        return codec.response_headers(
            Mutations(changes.set_headers, removed), self._headers, codec.BODY_MODE_FULL_DUPLEX
        )

    async def _on_whole_body(self, data: bytes) -> Message:
        assert self._ticket is not None
        response = Response(self._status, self._headers, Body(data))
        decision = await self._engine.on_response(self._ticket, response)
        self.state = State.DONE
        if isinstance(decision, Deny):
            return codec.immediate(decision, self._answer_headers)
        changes = self._with_answer_headers(decision.mutations)
        return codec.response_body(changes, self._headers)

    async def _on_chunk(
        self, data: bytes, *, ended: bool, trailers: bool = False
    ) -> tuple[Message, ...]:
        assert self._ticket is not None
        assert self._guard is not None
        guard = self._guard
        if self._inflater is not None:
            try:
                data = self._inflater.feed(data, last=ended)
            except UnsupportedCodingError as error:
                raise SessionError(str(error)) from error
        out = guard.feed(data) if data else b""
        if ended and not guard.blocked:
            out += guard.close()
        if not (ended or guard.blocked):
            return (codec.response_chunk(out, end_of_stream=False),) if out else ()
        end = StreamEnd.BLOCKED if guard.blocked else StreamEnd.COMPLETE
        await self._engine.close_stream(self._ticket, guard, end)
        self.state = State.DONE
        if not trailers:
            return (codec.response_chunk(out, end_of_stream=True),)
        rest = (codec.response_chunk(out, end_of_stream=False),) if out else ()
        return (*rest, codec.response_trailers())

    def _pass_on(self, kind: str) -> tuple[Message, ...]:
        """After DONE: bytes already in flight when a stream was ended early are dropped.

        A whole body that still comes although its mode was overridden to NONE goes on untouched:
        the policy asked for nothing of it.
        """
        if self._guard is not None:
            return ()
        if kind == "response_trailers":
            return (codec.response_trailers(),)
        return (codec.response_body(Mutations(), self._headers),)

    def _with_answer_headers(self, changes: Mutations) -> Mutations:
        """The engine's own changes win over the rate-limit headers drawn up at the request."""
        names = {name for name, _ in changes.set_headers}
        kept = tuple(p for p in self._answer_headers if p[0] not in names)
        return Mutations(kept + changes.set_headers, changes.remove_headers, changes.body)
