"""What adapters see of the engine, which runs the phases of one exchange in order.

    parse → authenticate → authorize → reserve budget → inspect prompt → redact request
          → [upstream] → inspect/redact response (whole or streamed) → settle budget → audit

How an adapter uses it::

    decision = await engine.on_request(exchange)          # Allow | Deny
    match engine.plan_response(ticket, status, headers):
        case ResponsePlan.BUFFER: verdict = await engine.on_response(ticket, response)
        case ResponsePlan.STREAM: guard = engine.open_stream(ticket, status, headers)
                                  out = guard.feed(chunk) ...; out = guard.close()
                                  await engine.close_stream(ticket, guard, StreamEnd.COMPLETE)
        case ResponsePlan.PASS:   await engine.on_unseen_response(ticket, status)

Every granted decision is followed by exactly one of on_response, close_stream,
on_unseen_response or on_no_response; each settles the budgets and writes the audit event, and
repeating one is harmless (settlement is idempotent by request id). A gateway that will see nothing
of the response says so (`on_request(exchange, sees_response=False)`) and calls on_unseen_response
at once: budgets are then charged where they are reserved, in one step of the ledger.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from promptward.decision import Decision, Deny, HeaderPairs, Mutations, Ticket
from promptward.exchange import Exchange, Headers, Response
from promptward.findings import Coverage, Finding
from promptward.llm import Usage
from promptward.values import value_object

END_UNKNOWN = "end_unknown"
"""Reason for `on_no_response`: the gateway lost track of an exchange that it had let through."""


class ResponsePlan(StrEnum):
    """What the policy needs of a response."""

    PASS = "pass"  # noqa: S105 - not a password
    BUFFER = "buffer"
    STREAM = "stream"


class StreamEnd(StrEnum):
    """How a stream ended."""

    COMPLETE = "complete"
    BLOCKED = "blocked"
    CLIENT_GONE = "client_gone"
    UPSTREAM_CUT = "upstream_cut"


@value_object(frozen=True, slots=True)
class ResponseAllow:
    """Forward the response, with mutations (headers include settled rate-limit figures)."""

    mutations: Mutations
    usage: Usage | None
    findings: tuple[Finding, ...]
    coverage: Coverage


ResponseDecision = ResponseAllow | Deny


class StreamGuard(Protocol):
    """A sans-IO transformer of one response stream."""

    def feed(self, data: bytes) -> bytes:
        """Take a chunk (any cut), return what may go to the client now. Never raises."""
        ...

    def close(self) -> bytes:
        """The upstream ended; return the rest. Idempotent."""
        ...

    @property
    def blocked(self) -> bool:
        """A denial was written as the last event: stop reading, end the stream."""
        ...


class EngineApi(Protocol):
    """What adapters may call (the interface; `Engine` implements it)."""

    async def on_request(self, exchange: Exchange, *, sees_response: bool = True) -> Decision: ...

    def plan_response(self, ticket: Ticket, status: int, headers: Headers) -> ResponsePlan: ...

    def response_headers(self, ticket: Ticket, headers: Headers) -> Mutations:
        """Header changes to make when streaming starts (content-length off, and the like)."""
        ...

    async def on_response(self, ticket: Ticket, response: Response) -> ResponseDecision: ...

    def open_stream(self, ticket: Ticket, status: int, headers: Headers) -> StreamGuard: ...

    async def close_stream(self, ticket: Ticket, guard: StreamGuard, end: StreamEnd) -> None: ...

    async def on_unseen_response(self, ticket: Ticket, status: int) -> None: ...

    async def on_no_response(self, ticket: Ticket, reason: str) -> HeaderPairs: ...

    def fail_closed(self, exchange: Exchange | None, reason: str) -> Deny:
        """The answer when the adapter itself failed: 503 in the caller's protocol."""
        ...
