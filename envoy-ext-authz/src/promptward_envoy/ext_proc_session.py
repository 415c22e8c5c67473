"""One HTTP exchange on one ext_proc stream: a state machine between Envoy and the engine.

    HEAD ─▶ BODY ─▶ RESPONSE (`ext_proc_response`) ─▶ DONE

Invariants:

- Every message is answered with what Envoy waits for, or the session raises `SessionError` and the
  stream ends with a non-OK status. Ending it cleanly before it is done would be fail open: Envoy
  goes on without us even with `failure_mode_allow: false`.
- A granted request is settled, whichever way the stream ends (`abandon`). Repeating a settlement
  is harmless, forgetting one is not.
- The engine is fixed when the stream opens: a reload does not touch exchanges in flight.

The session does no I/O of its own and knows no gRPC, so its tests are transcripts of messages.
"""

from __future__ import annotations

from enum import Enum, auto

from promptward.decision import Deny, Mutations
from promptward.engine import EngineApi
from promptward.exchange import Exchange, Headers
from promptward_envoy import codec_ext_proc as codec
from promptward_envoy.descriptors import Message
from promptward_envoy.ext_proc_response import Answers, ResponseSide, UnreadableStreamError
from promptward_envoy.metrics import Metrics
from promptward_envoy.offload import SideThread


class SessionError(Exception):
    """The stream cannot go on; it must end with a non-OK status. Text names no content."""


class State(Enum):
    """What the session waits for."""

    HEAD = auto()
    BODY = auto()
    RESPONSE = auto()
    FOREIGN = auto()
    DONE = auto()


class ExchangeSession:
    """Answers the messages of one stream in order.

    Args:
        engine: decides; used for the whole exchange.
        route: route name from the route's own settings; empty lets Envoy's attribute name it.
        max_body_bytes: most that is held of one response.
        metrics: counts decisions.
        aside: where large pieces of a stream are read.
    """

    def __init__(
        self,
        engine: EngineApi,
        route: str,
        max_body_bytes: int,
        metrics: Metrics,
        aside: SideThread,
    ) -> None:
        self._engine = engine
        self._route = route
        self._max_body_bytes = max_body_bytes
        self._metrics = metrics
        self._aside = aside
        self.state = State.HEAD
        self._exchange: Exchange | None = None
        self._response: ResponseSide | None = None

    async def handle(self, message: Message) -> Answers:
        """The answers to one message; none where full duplex owes nothing yet.

        Raises:
            SessionError: a message out of order, or a configuration that could pass unread bytes.
        """
        kind = message.WhichOneof("request")
        if kind == "request_headers" and self.state is State.HEAD:
            return await self._on_request_headers(message)
        if kind == "request_body" and self.state is State.BODY:
            assert self._exchange is not None
            exchange = codec.with_body(self._exchange, message.request_body.body)
            return await self._decide(exchange, has_body=True)
        if kind == "response_headers" and self.state in (State.HEAD, State.BODY):
            return self._on_foreign_reply(message)
        if self._response is not None:
            return await self._on_response(kind, message, self._response)
        if kind == "response_body" and self.state is State.FOREIGN:
            body = message.response_body
            return (codec.response_chunk(body.body, end_of_stream=body.end_of_stream),)
        if kind == "response_trailers" and self.state is State.FOREIGN:
            return (codec.response_trailers(),)
        raise SessionError(f"unexpected {kind} while in {self.state.name}")

    @property
    def finished(self) -> bool:
        """Whether the stream may end cleanly now."""
        if self._response is not None:
            return self._response.settled
        return self.state in (State.FOREIGN, State.DONE)

    @property
    def owes_settlement(self) -> bool:
        """Whether a granted request still waits for its settlement."""
        return self._response is not None and not self._response.settled

    async def abandon(self) -> None:
        """The stream ended; settle what was granted."""
        if self._response is not None:
            await self._response.abandon()

    def fail_closed(self, reason: str) -> Message | None:
        """The answer to a failure of ours, or None where only resetting the stream is left."""
        deniable = self.state in (State.HEAD, State.BODY)
        if self._response is not None:
            deniable = self._response.deniable
        if not deniable:
            return None
        return codec.immediate(self._engine.fail_closed(self._exchange, reason))

    async def _on_request_headers(self, message: Message) -> Answers:
        self._exchange = codec.exchange_from_headers(message, self._route)
        if not codec.holds_bodies(message):
            raise SessionError(
                "processing_mode must have request_body_mode BUFFERED and"
                " response_body_mode FULL_DUPLEX_STREAMED"
            )
        if message.request_headers.end_of_stream:
            return await self._decide(self._exchange, has_body=False)
        self.state = State.BODY
        return (codec.continue_request_headers(),)

    async def _decide(self, exchange: Exchange, *, has_body: bool) -> Answers:
        decision = await self._engine.on_request(exchange)
        self._metrics.count_decision("ext_proc", decision)
        if isinstance(decision, Deny):
            self.state = State.DONE
            return (codec.immediate(decision),)
        self.state = State.RESPONSE
        self._response = ResponseSide(
            self._engine,
            exchange,
            decision.ticket,
            decision.response_headers,
            self._max_body_bytes,
            self._metrics,
            self._aside,
        )
        return (codec.allow_request(decision, exchange.headers, has_body=has_body),)

    def _on_foreign_reply(self, message: Message) -> Answers:
        """Envoy or another filter answered a request that we have not seen, or not whole.

        For example a denial by ext_authz, or 413 for a body over Envoy's buffer limit.
        """
        if codec.came_from_upstream(message) is not False:
            raise SessionError(
                "an upstream answered a request that was never inspected, or"
                " response.code_details is missing from response_attributes"
            )
        self.state = State.FOREIGN
        return (codec.without_body(codec.response_headers(Mutations(), Headers())),)

    async def _on_response(self, kind: str, message: Message, response: ResponseSide) -> Answers:
        if kind == "response_headers":
            return await response.on_headers(message)
        if kind == "response_trailers":
            return await response.on_trailers()
        if kind != "response_body":
            raise SessionError(f"unexpected {kind} while in {self.state.name}")
        body = message.response_body
        try:
            return await response.on_body(body.body, ended=body.end_of_stream)
        except UnreadableStreamError as error:
            raise SessionError(str(error)) from error
