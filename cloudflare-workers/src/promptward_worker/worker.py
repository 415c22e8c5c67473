"""The Worker's entry point: put the ports together and guard one request.

What outlives a request is in `Isolate`: caches, nothing of a request. Everything else is made
for each request, because Cloudflare forbids one request to use another's input and output.

Fail closed: a Worker without a usable policy or with wrong variables, and any failure that nobody
foresaw, answers 503. `passThroughOnException` is never called: it would send the unguarded request
to the origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import js
from workers import WorkerEntrypoint, import_from_javascript

from promptward.auth.jwt_claims import AuthPorts
from promptward.engine import Engine
from promptward.engine.ports import ABSENT, Ports
from promptward.errors import PolicyError, PortError
from promptward.exchange import Exchange, GatewayIdentity
from promptward.policy import CompiledPolicy, lint, load_policy
from promptward.ports import BudgetLedger
from promptward_worker import bundled, codec, javascript, settings, zones
from promptward_worker.access import AccessVerifier
from promptward_worker.capabilities import CLOUDFLARE
from promptward_worker.failures import failure_event
from promptward_worker.guard import Guard
from promptward_worker.key_cache import MAX_DOCUMENT_BYTES, CacheTimes, KeyCache, KeyMemory
from promptward_worker.ledger_client import DurableObjectLedger
from promptward_worker.policies import PolicyStore, Source
from promptward_worker.ports import LogAudit, SystemEntropy, WorkersKv
from promptward_worker.settings import WorkerSettings
from promptward_worker.signatures import WebCryptoVerifier
from promptward_worker.warm import warm_up

if TYPE_CHECKING:
    from workers import Request

warm_up()
zones.install()
_CLOCK = javascript.WallClock()


class Isolate:
    """Caches of one isolate."""

    def __init__(self) -> None:
        self.settings: WorkerSettings | None = None
        self.policies: PolicyStore[CompiledPolicy] = PolicyStore()
        self.keys = KeyMemory()
        self.verifier = WebCryptoVerifier()


_ISOLATE = Isolate()


class Unavailable(Exception):  # noqa: N818 - an answer, not a failure of ours
    """The Worker cannot decide. `code` is shown to the client."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Default(WorkerEntrypoint):
    """Cloudflare calls `fetch` for every request."""

    async def fetch(self, request: Request) -> js.Response:
        """Guard one request; never raises and never lets an undecided request through."""
        try:
            return await Handling(self.ctx).guarded(request.js_object)
        except Unavailable as reason:
            return _unavailable(reason.code)
        except Exception as error:  # noqa: BLE001 - fail closed
            javascript.log(failure_event("guard_failed", error))
            return _unavailable("guard_failed")


class Handling:
    """The ports of one request."""

    def __init__(self, context: js.ExecutionContext) -> None:
        # the bindings themselves: the SDK's wrappers convert every argument and result
        self._env = import_from_javascript("cloudflare:workers").env
        self._context = context
        self.settings = self._decoded_settings()
        store = getattr(self._env, "POLICIES", None)
        self._store = None if store is None else WorkersKv(store)

    async def guarded(self, request: js.Request) -> js.Response:
        policy = await self.policy()
        keys = self._key_source(policy)
        exchange = await self._exchange(request, policy, keys)
        engine = Engine(
            policy,
            Ports(
                clock=_CLOCK,
                entropy=SystemEntropy(),
                audit=LogAudit(),
                ledger=self._ledger(),
                verifier=_ISOLATE.verifier,
                keys=keys,
            ),
        )
        guard = Guard(
            engine,
            self.settings,
            self._context,
            getattr(self._env, "ORIGIN", None),
            policy.spec.limits.max_body_bytes,
        )
        return await guard.answer(exchange, request.url)

    async def policy(self) -> CompiledPolicy:
        source = Source(
            store=self._store,
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
        policy = load_policy(text, self._variable)
        findings = lint(policy.model, CLOUDFLARE)
        if findings:
            raise PolicyError([str(finding) for finding in findings])
        return policy

    def _variable(self, name: str) -> str | None:
        value = getattr(self._env, name, None)
        return value if isinstance(value, str) else None

    def _decoded_settings(self) -> WorkerSettings:
        if _ISOLATE.settings is None:
            try:
                _ISOLATE.settings = settings.decode(self._variable)
            except PolicyError as error:
                _report("worker_misconfigured", error.problems)
                raise Unavailable("worker_misconfigured") from error
        return _ISOLATE.settings

    def _ledger(self) -> BudgetLedger:
        namespace = getattr(self._env, "LEDGER", None)
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

        return KeyCache(_ISOLATE.keys, self._store, fetch, _CLOCK, times)

    async def _exchange(
        self, request: js.Request, policy: CompiledPolicy, keys: KeyCache
    ) -> Exchange:
        headers = javascript.header_pairs(request.headers)
        body = await javascript.read_body(request, headers, policy.spec.limits.max_body_bytes)
        url = js.URL.new(request.url)
        return codec.exchange(
            method=request.method,
            host=url.host,
            path=url.pathname + url.search,
            headers=headers,
            body=body,
            route=self.settings.route,
            identity=await self._access_identity(dict(headers), keys),
        )

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
