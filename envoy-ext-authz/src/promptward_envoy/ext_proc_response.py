"""The response half of one exchange, in full duplex: chunks come in, chunks go out.

    HEAD ─▶ RELAY | WHOLE | STREAM ─▶ ENDED

RELAY sends back what comes, WHOLE holds everything until the engine has seen it, STREAM feeds the
guard. In full duplex Envoy sends on only what we give it, so nothing can pass unread, and neither
the number nor the size of chunks out needs to match those in.

Invariants: the engine settles before the last byte goes out; the first end of the stream counts,
whatever comes after it is dropped (Envoy has sent it twice for large bodies).
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
from promptward_envoy.offload import LARGE_BYTES, SideThread

Answers = tuple[Message, ...]


class ResponseState(Enum):
    """What happens to the bytes of the body."""

    HEAD = auto()
    RELAY = auto()
    WHOLE = auto()
    STREAM = auto()
    ENDED = auto()


class UnreadableStreamError(Exception):
    """A stream that can neither be read nor denied any more; it must be reset."""


class ResponseSide:
    """Answers the response messages of one granted exchange.

    Args:
        engine: decides.
        exchange: the request, for error bodies in the caller's protocol.
        ticket: of the granted request.
        answer_headers: for whatever answer the client gets.
        max_body_bytes: most that is held of one body, and most that one may inflate to.
        metrics: counts findings and tokens.
        aside: where large pieces of a stream are read.
    """

    def __init__(
        self,
        engine: EngineApi,
        exchange: Exchange,
        ticket: Ticket,
        answer_headers: HeaderPairs,
        max_body_bytes: int,
        metrics: Metrics,
        aside: SideThread,
    ) -> None:
        self._engine = engine
        self._exchange = exchange
        self._ticket = ticket
        self._answer_headers = answer_headers
        self._max_body_bytes = max_body_bytes
        self._metrics = metrics
        self._aside = aside
        self.state = ResponseState.HEAD
        self.settled = False
        self._status = 0
        self._headers = Headers()
        self._held = bytearray()
        self._silent_bytes = 0
        self._guard: StreamGuard | None = None
        self._inflater: Inflater | None = None

    @property
    def deniable(self) -> bool:
        """Whether the response's headers are still ours, so that a denial can take its place."""
        return self.state in (ResponseState.HEAD, ResponseState.WHOLE)

    async def abandon(self) -> None:
        """The client left, or the upstream broke off; Envoy does not say which."""
        if self.settled:
            return
        if self._guard is not None:
            await self._engine.close_stream(self._ticket, self._guard, StreamEnd.CLIENT_GONE)
        else:
            await self._engine.on_no_response(self._ticket, StreamEnd.CLIENT_GONE.value)
        self.settled = True

    async def on_headers(self, message: Message) -> Answers:
        """Choose what happens to the response."""
        self._status, self._headers = codec.response_head(message)
        if codec.came_from_upstream(message) is False:
            pairs = await self._engine.on_no_response(self._ticket, "upstream_error")
            return self._relay(tuple(pairs))
        plan = self._engine.plan_response(self._ticket, self._status, self._headers)
        if plan is ResponsePlan.PASS:
            await self._engine.on_unseen_response(self._ticket, self._status)
            return self._relay(())
        if message.response_headers.end_of_stream:
            return await self._conclude(Body(), ends=False)
        if plan is ResponsePlan.BUFFER:
            self.state = ResponseState.WHOLE
            return ()
        return await self._open_stream()

    async def on_body(self, data: bytes, *, ended: bool) -> Answers:
        """Take one chunk of the body."""
        if self.state is ResponseState.WHOLE:
            self._held += data
            if len(self._held) > self._max_body_bytes:
                return await self._conclude(Body(bytes(self._held), complete=False))
            return await self._conclude(Body(bytes(self._held))) if ended else ()
        if self.state is ResponseState.STREAM:
            out, over = await self._guarded(data, ended=ended)
            return (codec.response_chunk(out, end_of_stream=over),) if out or over else ()
        if self.state is ResponseState.RELAY:
            return (codec.response_chunk(data, end_of_stream=ended),)
        return ()

    async def on_trailers(self) -> Answers:
        """The body ended with trailers instead of an end mark."""
        if self.state is ResponseState.WHOLE:
            answers = await self._conclude(Body(bytes(self._held)), ends=False)
            denied = answers[0].WhichOneof("response") == "immediate_response"
            return answers if denied else (*answers, codec.response_trailers())
        if self.state is ResponseState.STREAM:
            out, _over = await self._guarded(b"", ended=True)
            last = (codec.response_chunk(out, end_of_stream=False),) if out else ()
            return (*last, codec.response_trailers())
        return (codec.response_trailers(),) if self.state is ResponseState.RELAY else ()

    def _relay(self, settled_headers: HeaderPairs) -> Answers:
        """Nothing is read of this response."""
        self.settled = True
        self.state = ResponseState.RELAY
        changes = self._with_answer_headers(Mutations(set_headers=settled_headers))
        return (codec.without_body(codec.response_headers(changes, self._headers)),)

    async def _conclude(self, body: Body, *, ends: bool = True) -> Answers:
        """The whole body is there (or too large to hold): decide and send it on.

        Args:
            ends: whether the body is the end of the response; not before trailers, and not when
                the headers were the end.
        """
        response = Response(self._status, self._headers, body)
        decision = await self._engine.on_response(self._ticket, response)
        self.settled = True
        self._metrics.count_response(decision)
        self._held = bytearray()
        if not isinstance(decision, Deny) and not body.complete and decision.mutations.body:
            decision = self._engine.fail_closed(self._exchange, "response_too_large")
        if isinstance(decision, Deny):
            self.state = ResponseState.ENDED
            return (codec.immediate(decision, self._answer_headers),)
        self.state = ResponseState.ENDED if body.complete else ResponseState.RELAY
        changes = self._with_answer_headers(decision.mutations)
        out = body.data if changes.body is None else changes.body
        head = codec.response_headers(changes, self._headers)
        ends = ends and body.complete
        return (head, codec.response_chunk(out, end_of_stream=ends)) if out or ends else (head,)

    async def _open_stream(self) -> Answers:
        try:
            self._inflater = Inflater.for_headers(self._headers, self._max_body_bytes)
        except UnsupportedCodingError as error:
            await self._engine.on_unseen_response(self._ticket, self._status)
            self.settled = True
            self.state = ResponseState.ENDED
            denial = self._engine.fail_closed(self._exchange, str(error))
            return (codec.immediate(denial, self._answer_headers),)
        changes = self._with_answer_headers(
            self._engine.response_headers(self._ticket, self._headers)
        )
        encoding = ("content-encoding",) if self._inflater is not None else ()
        removed = ("content-length", *encoding, *changes.remove_headers)
        self._guard = self._engine.open_stream(self._ticket, self._status, self._headers)
        self.state = ResponseState.STREAM
        return (codec.response_headers(Mutations(changes.set_headers, removed), self._headers),)

    async def _guarded(self, data: bytes, *, ended: bool) -> tuple[bytes, bool]:
        """What may go out now, and whether the stream is over."""
        guard = self._guard
        assert guard is not None
        if self._inflater is not None:
            try:
                data = self._inflater.feed(data, last=ended)
            except UnsupportedCodingError as error:
                raise UnreadableStreamError(str(error)) from error
        self._silent_bytes += len(data)
        if self._silent_bytes < LARGE_BYTES:
            out = _read(guard, data, ended=ended)
        else:  # an event of many chunks is read when its last one comes
            out = await self._aside.read(_read_later(guard, data, ended=ended))
        if out:
            self._silent_bytes = 0
        if not (ended or guard.blocked):
            return out, False
        end = StreamEnd.BLOCKED if guard.blocked else StreamEnd.COMPLETE
        await self._engine.close_stream(self._ticket, guard, end)
        self.settled = True
        self._metrics.count_response(guard)
        self.state = ResponseState.ENDED
        return out, True

    def _with_answer_headers(self, changes: Mutations) -> Mutations:
        """The engine's own changes win over the rate-limit headers drawn up at the request."""
        names = {name for name, _ in changes.set_headers}
        kept = tuple(p for p in self._answer_headers if p[0] not in names)
        return Mutations(kept + changes.set_headers, changes.remove_headers, changes.body)


def _read(guard: StreamGuard, data: bytes, *, ended: bool) -> bytes:
    out = guard.feed(data) if data else b""
    if ended and not guard.blocked:
        out += guard.close()
    return out


async def _read_later(guard: StreamGuard, data: bytes, *, ended: bool) -> bytes:
    return _read(guard, data, ended=ended)
