"""The Worker's entry point: put the ports together and guard one request.

What outlives a request is in `Isolate`: caches, nothing of a request. Everything else is made
for each request, because Cloudflare forbids one request to use another's input and output.

Fail closed: a Worker without a usable policy or with wrong variables, and any failure that nobody
foresaw, answers 503. `passThroughOnException` is never called: it would send the unguarded request
to the origin.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable
from typing import TYPE_CHECKING

import js
from pyodide.code import relaxed_call
from workers import WorkerEntrypoint

from promptward.auth.jwt_claims import AuthPorts
from promptward.engine import Engine
from promptward.engine.ports import ABSENT, Ports
from promptward.errors import PolicyError, PortError
from promptward.exchange import Exchange, GatewayIdentity
from promptward.policy import CompiledPolicy, lint, load_policy
from promptward.ports import BudgetLedger
from promptward_worker import bundled, codec, javascript, turns, zones
from promptward_worker.access import AccessVerifier
from promptward_worker.capabilities import CLOUDFLARE
from promptward_worker.deployment import Deployment
from promptward_worker.failures import failure_event
from promptward_worker.guard import Guard
from promptward_worker.http_ledger import HttpLedger
from promptward_worker.key_cache import MAX_DOCUMENT_BYTES, CacheTimes, KeyCache, KeyMemory
from promptward_worker.ledger_client import DurableObjectLedger
from promptward_worker.policies import PolicyStore, Source
from promptward_worker.ports import LogAudit, SystemEntropy
from promptward_worker.signatures import WebCryptoVerifier
from promptward_worker.tasks import begin_at_once
from promptward_worker.warm import warm_up

if TYPE_CHECKING:
    from workers import Request

warm_up()
zones.install()
begin_at_once(asyncio.get_running_loop())
_CLOCK = javascript.WallClock()
# What was imported never dies, so no collection needs to look at it again.
gc.collect()
gc.freeze()


class Isolate:
    """Caches of one isolate."""

    def __init__(self) -> None:
        self.deployment: Deployment | None = None
        self.policies: PolicyStore[CompiledPolicy] = PolicyStore()
        self.keys = KeyMemory()
        self.verifier = WebCryptoVerifier()

    def deployed(self, env: js.Env) -> Deployment:
        """What `env` says, decoded once; a new one (changed variables) also needs its own policy.

        Raises:
            PolicyError: a variable is wrong.
        """
        if self.deployment is None or self.deployment.env != env:
            self.deployment = None
            self.policies = PolicyStore()
            self.deployment = Deployment(env)
        return self.deployment


_ISOLATE = Isolate()


class Unavailable(Exception):  # noqa: N818 - an answer, not a failure of ours
    """The Worker cannot decide. `code` is shown to the client."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Call:
    """`fetch` of one request, to be called once.

    All are equal, because Pyodide keeps the signatures of what it calls in a cache: of a bound
    method it would work out the signature for every request (0.2 ms), and keep the last 128 alive.
    None can be found, so that no arguments are matched against it.
    """

    __slots__ = ("_served",)
    __signature__ = ()

    def __init__(self, served: Default | None) -> None:
        self._served = served

    def __call__(self, request: Request, *_env_and_context: object) -> object:
        # JavaScript holds on to this until its own collection; it need not hold the request too
        served, self._served = self._served, None
        return None if served is None else served.fetch(request)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Call)

    def __hash__(self) -> int:
        return hash(_Call)


class _Handler:
    """What JavaScript holds of a request: its `fetch` and nothing else."""

    __slots__ = ("fetch",)

    def __init__(self, call: _Call) -> None:
        self.fetch = call


class Default(WorkerEntrypoint):
    """Cloudflare makes one for every request and calls its `fetch`.

    Attributes:
        bindings: what the SDK's `env` wraps; the wrapper converts every argument and result.
    """

    bindings: js.Env

    def __new__(cls, ctx: js.ExecutionContext, env: js.Env) -> _Handler:  # type: ignore[misc]
        """Not one of these, which would refer to itself, and which the SDK would wrap."""
        javascript.open_border()
        served = super().__new__(cls)
        served.ctx, served.bindings = ctx, env
        return _Handler(_Call(served))

    def fetch(self, request: Request) -> object:
        """Guard one request; what the SDK turns into its Response."""
        answer: turns.Promised[js.Response] = turns.Promised()
        answer.keep(self._answered(request.js_object, answer.promise))
        return turns.Answer(answer.promise)

    async def _answered(self, request: js.Request, answer: Awaitable[js.Response]) -> js.Response:
        """Never raises and never lets an undecided request through."""
        try:
            return await Handling(self.bindings).guarded(request, self.ctx, answer)
        except Unavailable as reason:
            return _unavailable(reason.code)
        except Exception as error:  # noqa: BLE001 - fail closed
            javascript.log(failure_event("guard_failed", error))
            return _unavailable("guard_failed")


relaxed_call(_Call(None), None)  # fills Pyodide's cache with a call that belongs to no request


class Handling:
    """The ports of one request."""

    def __init__(self, env: js.Env) -> None:
        try:
            self._deployment = _ISOLATE.deployed(env)
        except PolicyError as error:
            _report("worker_misconfigured", error.problems)
            raise Unavailable("worker_misconfigured") from error
        self.settings = self._deployment.settings

    async def guarded(
        self, request: js.Request, context: js.ExecutionContext, answer: Awaitable[js.Response]
    ) -> js.Response:
        """The answer to `request`, which `answer` promises."""
        policy = await self.policy()
        keys = self._key_source(policy)
        exchange, url = await self._exchange(request, policy, keys)
        engine = Engine(
            policy,
            Ports(
                clock=_CLOCK,
                entropy=SystemEntropy(),
                audit=LogAudit(),
                ledger=self._ledger(),
                verifier=_ISOLATE.verifier,
                keys=keys,
                outlives_requests=False,
            ),
        )
        guard = Guard(
            engine,
            self.settings,
            context,
            answer,
            self._deployment.origin,
            policy.spec.limits.max_body_bytes,
        )
        return await guard.answer(exchange, url)

    async def policy(self) -> CompiledPolicy:
        source = Source(
            store=self._deployment.store,
            key=self.settings.policy_key,
            bundled=bundled.policy_text,
            refresh_s=self.settings.policy_refresh_s,
            load=self._loaded,
            report=_report,
        )
        policy = await _ISOLATE.policies.current(source, _CLOCK.now_s())
        if policy is None:
            raise Unavailable("policy_unavailable")
        return policy

    def _loaded(self, text: str) -> CompiledPolicy:
        policy = load_policy(text, self._deployment.variable)
        findings = lint(policy.model, CLOUDFLARE)
        if findings:
            raise PolicyError([str(finding) for finding in findings])
        return policy

    def _ledger(self) -> BudgetLedger:
        if self.settings.ledger_url:
            return HttpLedger(
                self.settings.ledger_url, self.settings.ledger_token, self.settings.ledger_timeout_s
            )
        namespace = self._deployment.ledger
        if namespace is None:
            return ABSENT
        return DurableObjectLedger(
            namespace, self.settings.ledger_timeout_s, self.settings.ledger_shards
        )

    def _key_source(self, policy: CompiledPolicy) -> KeyCache:
        caches = policy.spec.identity.jwks_caches()
        times = {
            uri: CacheTimes(c.ttl_s, c.min_refresh_s, c.stale_if_error_s)
            for uri, c in caches.items()
        }

        async def fetch(uri: str) -> bytes:
            timeout_s = self.settings.jwks_timeout_s
            return await javascript.fetch_bytes(uri, timeout_s, MAX_DOCUMENT_BYTES)

        return KeyCache(_ISOLATE.keys, self._deployment.store, fetch, _CLOCK, times)

    async def _exchange(
        self, request: js.Request, policy: CompiledPolicy, keys: KeyCache
    ) -> tuple[Exchange, str]:
        """The request, and its URL."""
        max_bytes = policy.spec.limits.max_body_bytes
        method, url, headers, body = await javascript.read_request(request, max_bytes)
        host, path = codec.host_and_path(url)
        exchange = codec.exchange(
            method=method,
            host=host,
            path=path,
            headers=headers,
            body=body,
            route=self.settings.route,
            identity=await self._access_identity(dict(headers), keys),
        )
        return exchange, url

    async def _access_identity(
        self, headers: dict[str, str], keys: KeyCache
    ) -> GatewayIdentity | None:
        token = headers.get(codec.ACCESS_HEADER)
        if token is None or not self.settings.access_team_domain:
            return None
        verifier = AccessVerifier(self.settings.access_team_domain, self.settings.access_audience)
        try:
            return await verifier.identity(
                token, _CLOCK.now_s(), AuthPorts(_ISOLATE.verifier, keys)
            )
        except PortError as error:
            _report("access_unverified", (error.reason,))
            raise Unavailable("identity_unavailable") from error


def _report(event: str, details: tuple[str, ...]) -> None:
    javascript.log({"event": event, "details": list(details)})


def _unavailable(code: str) -> js.Response:
    body, headers = codec.unavailable(code)
    return javascript.response(503, headers, body)
