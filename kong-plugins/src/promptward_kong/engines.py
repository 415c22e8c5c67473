"""The engines of one worker process, and the jobs they answer.

Invariants: one engine per distinct configuration, compiled once and shared by threads; a
configuration that cannot be served has problems instead of an engine and never decides anything;
an allowance that came too late for its request is given back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from promptward.decision import Allow, Deny, Ticket
from promptward.engine import Engine, ResponsePlan
from promptward.engine.api import END_UNKNOWN
from promptward.engine.response import is_event_stream
from promptward.errors import PolicyError, PortError
from promptward.exchange import Body, Exchange, Headers, Response
from promptward.policy import CompiledPolicy
from promptward.sync import run_sync
from promptward_kong.codec import (
    exchange_of,
    pack_deny,
    pack_mutations,
    pack_ticket,
    unpack_ticket,
)
from promptward_kong.jobs import Job

_log = logging.getLogger(__name__)

# From (plugin name, configuration as JSON text) to an engine. Raises PolicyError.
BuildEngine = Callable[[str], Engine]


@dataclass(frozen=True, slots=True)
class Loaded:
    """An engine, or why there is none."""

    engine: Engine | None
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Slot:
    config: str
    lock: threading.Lock
    loaded: Loaded | None = None


class EngineHost:
    """Answers jobs; see `handle` for the kinds.

    Args:
        build: makes the engine of a configuration.
    """

    def __init__(self, build: BuildEngine) -> None:
        self._build = build
        self._slots: dict[str, _Slot] = {}
        self._lock = threading.Lock()

    def handle(self, job: Job) -> object:
        """Run one job.

        prepare      → problems and needs of the instance
        request      → ["deny", …] | ["allow", …]
        response     → the same, for a whole response
        unseen, lost → nothing; settle what nobody could read, or never came
        abandoned    → nothing; settle requests nobody will hear of any more
        close        → nothing; forget the instance
        """
        if job.kind == "close":
            with self._lock:
                self._slots.pop(job.instance, None)
            return None
        loaded = self._load(job)
        if job.kind == "prepare":
            return _describe(loaded)
        if loaded.engine is None:
            raise PolicyError(loaded.problems)
        return _KINDS[job.kind](loaded.engine, job)

    def _load(self, job: Job) -> Loaded:
        with self._lock:
            slot = self._slots.get(job.instance)
            if slot is None:
                if job.config is None:
                    raise LookupError("the instance's configuration did not arrive")
                slot = self._slots[job.instance] = _Slot(job.config, threading.Lock())
        with slot.lock:  # one thread compiles; no check ever runs under this lock
            if slot.loaded is None:
                slot.loaded = self._compile(slot.config)
            return slot.loaded

    def _compile(self, config: str) -> Loaded:
        try:
            return Loaded(self._build(config))
        except PolicyError as error:
            return Loaded(None, error.problems)
        except PortError:
            raise  # a store that cannot be opened now may be there for the next request
        except Exception as error:  # noqa: BLE001 - a bug of ours must refuse, not kill the worker
            _log.exception("a configuration cannot be loaded")
            return Loaded(None, (f"internal error: {type(error).__name__}",))


def _describe(loaded: Loaded) -> object:
    if loaded.engine is None:
        return {"problems": list(loaded.problems)}
    policy: CompiledPolicy = loaded.engine.policy
    return {
        "problems": [],
        "identity": policy.spec.identity.gateway is not None,
        "route": _depends_on_route(policy),
        "max_body_bytes": policy.spec.limits.max_body_bytes,
    }


def _depends_on_route(policy: CompiledPolicy) -> bool:
    """Whether a rule reads the route; elsewhere it is only a label in the audit."""
    spec = policy.spec
    return (
        spec.target.routes != ("*",)
        or any(rule.routes != ("*",) for rule in spec.authorization.rules)
        or any("route" in b.partition_by or b.routes != ("*",) for b in spec.budgets)
    )


def _on_request(engine: Engine, job: Job) -> object:
    exchange = _with_placeholder(exchange_of(job.payload), engine)
    decision = run_sync(engine.on_request(exchange))
    if not isinstance(decision, Allow):
        return pack_deny(decision)
    if time.monotonic() > job.deadline_s:
        # The front has refused this request by now; its reservation must not stay open.
        run_sync(engine.on_no_response(decision.ticket, "upstream_error"))
        raise TimeoutError("the check took longer than its deadline")
    plan = engine.plan_response(decision.ticket, 200, Headers())
    return [
        "allow",
        pack_mutations(decision.mutations),
        pack_ticket(decision.ticket),
        decision.response_headers,
        plan is ResponsePlan.BUFFER,
        decision.ticket.stream,
        decision.ticket.principal.id,
    ]


def _with_placeholder(exchange: Exchange, engine: Engine) -> Exchange:
    """A body over the policy's limit is not fetched from Kong; one byte too many stands for it, so
    that it is refused for its size exactly as at gateways that did read it."""
    if exchange.body.complete:
        return exchange
    size = engine.policy.spec.limits.max_body_bytes + 1
    return replace(exchange, body=Body(bytes(size)))


def _on_response(engine: Engine, job: Job) -> object:
    data, status, headers, body = cast("list[object]", job.payload)
    ticket = _ticket(data)
    pairs = Headers((str(n), str(v)) for n, v in cast("list[list[str]]", headers))
    code = cast("int", status)
    if engine.plan_response(ticket, code, pairs) is ResponsePlan.PASS:
        run_sync(engine.on_unseen_response(ticket, code))
        return ["allow", [(), (), None]]
    response = Response(code, pairs, Body(cast("bytes", body)))
    decision = run_sync(engine.on_response(ticket, response))
    if isinstance(decision, Deny):
        return pack_deny(decision)
    mutations = decision.mutations
    if is_event_stream(pairs):
        # The figures a gateway that streams would have sent; it cannot know the settled ones.
        mutations = replace(mutations, set_headers=())
    return ["allow", pack_mutations(mutations)]


def _on_unseen(engine: Engine, job: Job) -> object:
    data, status = cast("list[object]", job.payload)
    run_sync(engine.on_unseen_response(_ticket(data), cast("int", status)))
    return None


def _on_lost(engine: Engine, job: Job) -> object:
    data, reason = cast("list[object]", job.payload)
    run_sync(engine.on_no_response(_ticket(data), str(reason)))
    return None


def _on_abandoned(engine: Engine, job: Job) -> object:
    for data in cast("list[bytes]", job.payload):
        run_sync(engine.on_no_response(unpack_ticket(data), END_UNKNOWN))
    return None


def _ticket(data: object) -> Ticket:
    return unpack_ticket(cast("bytes", data))


_KINDS: dict[str, Callable[[Engine, Job], object]] = {
    "request": _on_request,
    "response": _on_response,
    "unseen": _on_unseen,
    "lost": _on_lost,
    "abandoned": _on_abandoned,
}
