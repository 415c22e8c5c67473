"""The core itself as a gateway: no process, no socket; the reference the others are held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from promptward.decision import Allow, Deny, Mutations
from promptward.engine import Engine, ResponsePlan, StreamEnd
from promptward.exchange import Body, Exchange, Headers, Response
from promptward.policy import load_policy
from promptward.sync import run_sync
from promptward.testing.conformance.upstream import Received, ScriptedUpstream, pieces
from promptward.testing.conformance.vectors import STEP_HEADER, Answer, Step
from promptward_ports.hosting import build_engine
from promptward_ports.ledgers import Ledger, open_ledger


class _Recorded:
    """An audit sink that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []

    def emit(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)


class CoreGateway:
    """Implements `Gateway` in this process."""

    name = "core"

    def __init__(self, policy_text: str, upstream: ScriptedUpstream) -> None:
        self._audit = _Recorded()
        self._ledger: Ledger = open_ledger("memory://", timeout_s=1.0)
        self._engine: Engine = build_engine(load_policy(policy_text), self._ledger, self._audit)
        self._upstream = upstream

    def send(self, step: Step) -> Answer:
        exchange = Exchange(
            method=step.method,
            host="gateway.test",
            path=step.path,
            headers=Headers(step.headers),
            body=Body(step.body),
            peer="127.0.0.1",
        )
        decision = run_sync(self._engine.on_request(exchange))
        if isinstance(decision, Deny):
            return _denied(decision)
        return self._forward(step, exchange, decision)

    def audit_events(self) -> Sequence[Mapping[str, Any]]:
        return self._audit.events

    def ledger_entries(self) -> Sequence[Mapping[str, Any]]:
        return [asdict(e) for e in run_sync(self._ledger.entries())]

    def close(self) -> None:
        """Forget the ledger."""
        run_sync(self._ledger.close())

    def _forward(self, step: Step, exchange: Exchange, decision: Allow) -> Answer:
        sent = _changed(exchange.headers, decision.mutations)
        body = decision.mutations.body
        received = Received(
            step.method, step.path, sent, exchange.body.data if body is None else body
        )
        name = dict(sent)[STEP_HEADER]
        scripted, data = self._upstream.answer(name, received)
        headers = Headers(scripted.upstream.headers)
        status, ticket = scripted.upstream.status, decision.ticket
        extra = decision.response_headers
        match self._engine.plan_response(ticket, status, headers):
            case ResponsePlan.PASS:
                run_sync(self._engine.on_unseen_response(ticket, status))
                return Answer(status, (*headers.pairs, *extra), data)
            case ResponsePlan.BUFFER:
                verdict = run_sync(
                    self._engine.on_response(ticket, Response(status, headers, Body(data)))
                )
                if isinstance(verdict, Deny):
                    return _denied(verdict)
                changed = _changed(Headers((*headers.pairs, *extra)), verdict.mutations)
                new = verdict.mutations.body
                return Answer(status, changed, data if new is None else new)
            case ResponsePlan.STREAM:
                guard = self._engine.open_stream(ticket, status, headers)
                out = b"".join(guard.feed(p) for p in pieces(data, scripted.upstream.cut))
                out += guard.close()
                end = StreamEnd.BLOCKED if guard.blocked else StreamEnd.COMPLETE
                run_sync(self._engine.close_stream(ticket, guard, end))
                return Answer(status, (*headers.pairs, *extra), out)


def _denied(decision: Deny) -> Answer:
    return Answer(decision.status, decision.headers, decision.body)


def _changed(headers: Headers, mutations: Mutations) -> tuple[tuple[str, str], ...]:
    replaced = {n for n, _ in mutations.set_headers}
    exact = {n for n in mutations.remove_headers if not n.endswith("*")} | replaced
    prefixes = tuple(n[:-1] for n in mutations.remove_headers if n.endswith("*"))
    kept = [
        (n, v)
        for n, v in headers.pairs
        if n not in exact and not (prefixes and n.startswith(prefixes))
    ]
    return (*kept, *mutations.set_headers)
