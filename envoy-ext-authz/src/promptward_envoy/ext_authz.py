"""The ext_authz v3 service: one Check call, one decision.

ext_authz never sees the response. Alone on a route it therefore charges what it reserves at once,
as estimated. With our ext_proc behind it on the same route (`promptward.then: ext_proc` in the
route's `context_extensions`) it leaves settling and every change to ext_proc and hands it the
request id in dynamic metadata, so the reservation is made once and charged once.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import grpc

from promptward.decision import Decision, Deny, Mutations
from promptward.engine import EngineApi
from promptward.exchange import Exchange
from promptward_envoy import codec_ext_authz as codec
from promptward_envoy.admission import Admission, OverloadedError
from promptward_envoy.deadlines import give_back, within
from promptward_envoy.descriptors import Message
from promptward_envoy.engines import EngineSource, UnknownPolicyError
from promptward_envoy.faults import log_fault
from promptward_envoy.metrics import Metrics
from promptward_envoy.offload import SideThread, is_large

FILTER = "ext_authz"
# Keys of a route's context_extensions.
POLICY_EXTENSION = "promptward.policy"
THEN_EXTENSION = "promptward.then"


class Authorizer:
    """Implements `envoy.service.auth.v3.Authorization/Check`.

    Args:
        engines: finds the engine of a policy by name.
        admission: bounds the work.
        metrics: counts.
        deadline_s: most time for one decision, in seconds.
        aside: where large bodies are read.
    """

    def __init__(
        self,
        engines: EngineSource,
        admission: Admission,
        metrics: Metrics,
        deadline_s: float,
        aside: SideThread,
    ) -> None:
        self._engines = engines
        self._admission = admission
        self._metrics = metrics
        self._seconds = metrics.seconds.labels(FILTER)
        self._deadline_s = deadline_s
        self._aside = aside

    async def check(
        self, request: Message, _context: grpc.aio.ServicerContext[Message, Message]
    ) -> Message:
        """Answer one CheckRequest; any fault of ours is a finished denial."""
        started = perf_counter()
        admitted = self._admission.enter()
        try:
            return await self._check(request, admitted=admitted)
        finally:
            self._admission.leave()
            self._seconds.observe(perf_counter() - started)

    async def _check(self, request: Message, *, admitted: bool) -> Message:
        extensions = codec.context_extensions(request)
        exchange = codec.exchange_from_check(request)
        try:
            policy = self._engines.policy(extensions.get(POLICY_EXTENSION, ""))
        except UnknownPolicyError:
            return self._failed(self._engines.policy("").engine, exchange, "unknown_policy")
        engine, is_last = policy.engine, extensions.get(THEN_EXTENSION) != "ext_proc"
        if not admitted:
            return self._failed(engine, exchange, "overloaded")
        if is_last and not policy.ext_authz_alone:
            return self._failed(engine, exchange, "needs_ext_proc")
        try:
            decision = await self._decide_in_time(engine, exchange, is_last=is_last)
        except OverloadedError:
            return self._failed(engine, exchange, "overloaded")
        except TimeoutError:
            return self._failed(engine, exchange, "deadline_exceeded")
        except Exception as error:  # noqa: BLE001 - whatever it is, the request must not pass
            log_fault(FILTER, error)
            return self._failed(engine, exchange, "internal_error")
        self._metrics.count_decision(FILTER, decision)
        if isinstance(decision, Deny):
            return codec.response_from_deny(decision)
        if not is_last:
            # ext_proc decides again and needs the caller's credential, so nothing changes yet.
            decision = replace(decision, mutations=Mutations(), response_headers=())
        return codec.response_from_allow(decision, exchange.headers)

    def _decide_in_time(
        self, engine: EngineApi, exchange: Exchange, *, is_last: bool
    ) -> Coroutine[Any, Any, Decision]:
        deciding = self._decide(engine, exchange, is_last=is_last)
        if not is_large(exchange.headers, exchange.body.data):
            return within(self._deadline_s, deciding)
        unheard = None if is_last else partial(give_back, engine)
        return self._aside.ask(deciding, unheard, len(exchange.body.data))

    async def _decide(self, engine: EngineApi, exchange: Exchange, *, is_last: bool) -> Decision:
        """Where nobody will see the response, settle now; a body that must change cannot pass."""
        allow = await engine.on_request(exchange, sees_response=not is_last)
        if not is_last or isinstance(allow, Deny):
            return allow
        if allow.mutations.body is not None:
            await engine.on_no_response(allow.ticket, "needs_ext_proc")
            return engine.fail_closed(exchange, "needs_ext_proc")
        await engine.on_unseen_response(allow.ticket, 0)
        return allow

    def _failed(self, engine: EngineApi, exchange: Exchange, reason: str) -> Message:
        self._metrics.failures.labels(FILTER, reason).inc()
        return codec.response_from_deny(engine.fail_closed(exchange, reason))
