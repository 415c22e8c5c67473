"""The engine itself: one per compiled policy, shared by all requests of a process.

Invariant: no exception leaves it. Whatever goes wrong inside becomes a denial with an audit
event, because an adapter that sees an exception might let the request through.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace

from promptward.audit import ENCODERS, audit_event
from promptward.checks.memory import NO_MEMORY, TextMemory
from promptward.decision import Decision, Deny, HeaderPairs, Mutations, Ticket
from promptward.engine.answers import Refusal, deny
from promptward.engine.api import (
    END_UNKNOWN,
    ResponseAllow,
    ResponseDecision,
    ResponsePlan,
    StreamEnd,
    StreamGuard,
)
from promptward.engine.ports import ABSENT, Ports
from promptward.engine.request import RequestRun, run_request
from promptward.engine.response import ResponseRun, is_event_stream, plan, run_response
from promptward.engine.settlement import (
    Charge,
    Delivered,
    charge_disconnect,
    charge_usage,
    settle,
)
from promptward.engine.streams import GuardedStream, open_stream, read_ahead
from promptward.errors import ExchangeError, PortError
from promptward.exchange import JSON, Exchange, Headers, Response
from promptward.findings import Effect, Finding
from promptward.policy.compile import CompiledPolicy
from promptward.ports import LineState
from promptward.protocols import PROTOCOLS, protocol_for

_REQUEST_ID_BYTES = 16
_MEMORY_KEY_BYTES = 32
_UNAVAILABLE = "The request could not be checked; try again later."


class Engine:
    """Enforces one policy. See `api` for how adapters use it."""

    def __init__(self, policy: CompiledPolicy, ports: Ports) -> None:
        """
        Raises:
            PolicyError: the policy needs a port that the host did not give.
        """
        policy.require_ports(
            ledger=ports.ledger is not ABSENT,
            verifier=ports.verifier is not ABSENT,
            keys=ports.keys is not ABSENT,
            classifier=ports.classifier is not None,
            tokens=ports.tokens is not None,
        )
        self.policy = policy
        self._ports = ports
        self._encode = ENCODERS[policy.spec.audit.format]
        self._memory = NO_MEMORY
        if ports.outlives_requests:
            remembered = policy.spec.limits.remembered_texts
            self._memory = TextMemory(ports.entropy.token(_MEMORY_KEY_BYTES), remembered)

    # --- request ---------------------------------------------------------------------------

    async def on_request(self, exchange: Exchange, *, sees_response: bool = True) -> Decision:
        """Decide a request. Never raises; a failure of ours is a denial.

        Args:
            sees_response: whether anything of the response, or that there is none, will come here.
        """
        run = RequestRun(
            exchange,
            exchange.request_id or self._ports.entropy.token(_REQUEST_ID_BYTES).hex(),
            self._ports.clock.now_s(),
            self._memory,
            sees_response,
        )
        decision: Decision
        try:
            decision = await run_request(self.policy, self._ports, run)
        except Refusal as refusal:
            decision = await self._refuse(run, refusal)
        except ExchangeError as error:
            decision = await self._refuse(run, Refusal.of(error))
        except PortError as error:
            decision = await self._refuse(run, _unavailable(f"{error.port}_unavailable"))
        except Exception as error:  # noqa: BLE001 - a bug of ours must deny, not pass
            self._ports.report_bug(error)
            decision = await self._refuse(run, _unavailable("internal_error"))
        self._audit_request(run, decision)
        return decision

    def fail_closed(self, exchange: Exchange | None, reason: str) -> Deny:
        """The denial to answer with when the adapter itself failed.

        Args:
            exchange: the request if it could be decoded.
            reason: stable snake_case code, becomes the error's code.
        """
        protocol = None
        if exchange is not None:
            protocol = protocol_for(exchange.method, exchange.path, self.policy.protocols)
        return deny(_unavailable(reason), protocol)

    async def _refuse(self, run: RequestRun, refusal: Refusal) -> Deny:
        if run.reserved is not None:
            ticket = run.ticket_for_release(self.policy)
            run.states = await settle(self.policy, self._ports, ticket, None) or run.states
            run.reserved = None
        if self.policy.spec.errors.reveal == "rule" and refusal.category == "content":
            refusal = _with_rules(refusal, run.findings)
        return deny(refusal, run.protocol, run.findings, run.coverage, run.principal)

    # --- response --------------------------------------------------------------------------

    def plan_response(self, ticket: Ticket, status: int, headers: Headers) -> ResponsePlan:
        """What the adapter has to do with the response."""
        return plan(self.policy, ticket, status, headers)

    def response_headers(self, ticket: Ticket, headers: Headers) -> Mutations:
        """Header changes when a stream starts: its length and digests are not known any more."""
        del ticket
        gone = ("content-length", "etag", "content-digest", "repr-digest", "digest")
        present = {n for n, _ in headers}
        return Mutations(remove_headers=tuple(n for n in gone if n in present))

    async def on_response(self, ticket: Ticket, response: Response) -> ResponseDecision:
        """Read a whole response, settle and record it. Never raises."""
        if is_event_stream(response.headers):
            return await self._on_whole_stream(ticket, response)
        run = ResponseRun()
        refusal: Refusal | None = None
        mutations = Mutations()
        try:
            mutations = await run_response(
                self.policy, ticket, response, run, self._ports.classifier
            )
        except Refusal as caught:
            refusal = caught
        except ExchangeError as error:
            refusal = replace(Refusal.of(error), status=502)
        except Exception as error:  # noqa: BLE001 - as in on_request
            self._ports.report_bug(error)
            refusal = _unavailable("internal_error")
        charge = charge_usage(run.usage) if response.status < 400 else None
        states = await settle(self.policy, self._ports, ticket, charge)
        if refusal is not None:
            return self._deny_response(ticket, refusal, run, states)
        headers = self.policy.rate_limit_headers(states)
        mutations = Mutations(headers, mutations.remove_headers, mutations.body)
        run.body_hmac = self._digest(response.body.data)
        self._audit_response(ticket, run, states, response.status)
        return ResponseAllow(mutations, run.usage, tuple(run.findings), run.coverage)

    async def _on_whole_stream(self, ticket: Ticket, response: Response) -> ResponseDecision:
        try:
            ahead = await read_ahead(self.policy, ticket, response, self._ports.classifier)
        except Exception as error:  # noqa: BLE001 - as in on_request
            self._ports.report_bug(error)
            run, refusal = ResponseRun(), _unavailable("internal_error")
            return await self._withhold_stream(ticket, response, run, refusal)
        if ahead is not None and ahead.denial is not None:
            run = ResponseRun(ahead.findings, ahead.coverage, ahead.usage)
            return await self._withhold_stream(ticket, response, run, Refusal.by(ahead.denial))
        guard = open_stream(self.policy, ticket, response.status, response.headers, ahead)
        body = guard.feed(response.body.data) + guard.close()
        end = StreamEnd.BLOCKED if guard.blocked else StreamEnd.COMPLETE
        if not response.body.complete and not guard.blocked:
            end = StreamEnd.UPSTREAM_CUT
        states = await self._finish_stream(ticket, guard, end)
        mutations = Mutations(
            set_headers=self.policy.rate_limit_headers(states),
            remove_headers=self.response_headers(ticket, response.headers).remove_headers,
            body=None if body == response.body.data else body,
        )
        return ResponseAllow(mutations, guard.usage, tuple(guard.findings), guard.coverage)

    async def _withhold_stream(
        self, ticket: Ticket, response: Response, run: ResponseRun, refusal: Refusal
    ) -> Deny:
        """Answer with an error instead of a buffered stream that nobody may see."""
        charge = charge_usage(run.usage) if response.status < 400 else None
        states = await settle(self.policy, self._ports, ticket, charge)
        return self._deny_response(ticket, refusal, run, states)

    def open_stream(self, ticket: Ticket, status: int, headers: Headers) -> StreamGuard:
        """A guard for one response stream."""
        return open_stream(self.policy, ticket, status, headers)

    async def close_stream(self, ticket: Ticket, guard: StreamGuard, end: StreamEnd) -> None:
        """Settle and record a stream, however it ended."""
        if not isinstance(guard, GuardedStream):
            raise TypeError("close_stream takes what open_stream returned")
        await self._finish_stream(ticket, guard, end)

    async def _finish_stream(
        self, ticket: Ticket, guard: GuardedStream, end: StreamEnd
    ) -> tuple[LineState, ...]:
        if guard.settled:
            return ()
        guard.settled = True
        if end is StreamEnd.COMPLETE and not guard.finished:
            end = StreamEnd.UPSTREAM_CUT  # the connection ended, the protocol did not
        charge: Charge | None = charge_usage(guard.usage)
        if end is not StreamEnd.COMPLETE:
            delivered = Delivered(guard.output_chars)
            final = None if guard.counting else guard.usage
            charge = charge_disconnect(final, ticket.input_tokens, delivered)
        if guard.status >= 400:
            charge = None
        states = await settle(self.policy, self._ports, ticket, charge, guard.usage)
        run = ResponseRun(list(guard.findings), guard.coverage, guard.usage)
        self._audit_response(ticket, run, states, guard.status, end.value, guard.denial_code)
        return states

    async def on_unseen_response(self, ticket: Ticket, status: int) -> None:
        """A response that the plan let pass unread; status 0 when not even that is known."""
        if ticket.charged and status < 400:
            states = ticket.charged
        else:
            charge = charge_usage(None) if status < 400 else None
            states = await settle(self.policy, self._ports, ticket, charge)
        self._audit_response(ticket, ResponseRun(), states, status)

    async def on_no_response(self, ticket: Ticket, reason: str) -> HeaderPairs:
        """The upstream never answered (or the client left before it did).

        Args:
            reason: `upstream_error` releases the reservation; `client_gone` and `end_unknown` (the
                gateway lost track of it) are charged as the budgets' on_disconnect says, because
                the upstream may be working on it.

        Returns:
            Rate-limit fields for the error that the gateway answers with.
        """
        charge: Charge | None = None
        if reason in (StreamEnd.CLIENT_GONE.value, END_UNKNOWN):
            charge = charge_disconnect(None, ticket.input_tokens, Delivered(0))
        states = await settle(self.policy, self._ports, ticket, charge)
        self._audit_response(ticket, ResponseRun(), states, 0, reason)
        return self.policy.rate_limit_headers(states)

    def _deny_response(
        self, ticket: Ticket, refusal: Refusal, run: ResponseRun, states: Sequence[LineState]
    ) -> Deny:
        headers = (*refusal.headers, *self.policy.rate_limit_headers(states))
        answer = deny(
            replace(refusal, headers=headers),
            PROTOCOLS.get(ticket.protocol),
            run.findings,
            run.coverage,
            ticket.principal,
        )
        self._audit_response(ticket, run, states, answer.status, "", answer.code)
        return answer

    # --- audit -----------------------------------------------------------------------------

    def _digest(self, body: bytes) -> str:
        """Keyed digest of a body, when the policy wants one: proof of what was sent, no text."""
        audit = self.policy.spec.audit
        if audit.content != "hmac" or audit.hmac_key is None:
            return ""
        return hmac.new(audit.hmac_key.encode(), body, hashlib.sha256).hexdigest()

    def _emit(self, event: dict[str, JSON]) -> None:
        self._ports.audit.emit(self._encode(event))

    def _audit_request(self, run: RequestRun, decision: Decision) -> None:
        action, status, code = "allow", 0, ""
        if isinstance(decision, Deny):
            action, status, code = "deny", decision.status, decision.code
        elif _redacted(decision.findings):
            action = "redact"
        self._emit(
            audit_event(
                phase="request",
                time_s=run.now_s,
                request_id=run.request_id,
                policy=self.policy.ref,
                action=action,
                status=status,
                code=code,
                principal=run.principal,
                claims=self.policy.spec.audit.claims,
                protocol=run.protocol.name if run.protocol else "",
                model=run.request.model if run.request else "",
                route=run.exchange.route,
                findings=decision.findings,
                coverage=decision.coverage,
                budgets=run.states,
                prices=self.policy.prices.version,
                body_hmac=self._digest(run.exchange.body.data),
            )
        )

    def _audit_response(
        self,
        ticket: Ticket,
        run: ResponseRun,
        states: Sequence[LineState],
        status: int,
        stream_end: str = "",
        code: str = "",
    ) -> None:
        usage = run.usage
        cost = None if usage is None else self.policy.prices.cost_nano_usd(ticket.model, usage)
        self._emit(
            audit_event(
                phase="response",
                time_s=self._ports.clock.now_s(),
                request_id=ticket.request_id,
                policy=ticket.policy,
                action="deny" if code else "redact" if _redacted(run.findings) else "allow",
                status=status,
                code=code,
                principal=ticket.principal,
                claims=self.policy.spec.audit.claims,
                protocol=ticket.protocol,
                model=ticket.model,
                route=ticket.route,
                findings=run.findings,
                coverage=run.coverage,
                usage=usage,
                budgets=states,
                stream_end=stream_end,
                prices=self.policy.prices.version,
                cost_nano_usd=cost,
                body_hmac=run.body_hmac,
            )
        )


def _redacted(findings: Sequence[Finding]) -> bool:
    return Effect.REDACT in [finding.effect for finding in findings]


def _unavailable(code: str) -> Refusal:
    return Refusal(503, code, "unavailable", _UNAVAILABLE, (("retry-after", "1"),))


def _with_rules(refusal: Refusal, findings: Sequence[Finding]) -> Refusal:
    rules = sorted({f.rule for f in findings if f.effect is Effect.BLOCK})
    if not rules:
        return refusal
    return replace(refusal, message=f"{refusal.message} Rules: {', '.join(rules[:8])}.")
