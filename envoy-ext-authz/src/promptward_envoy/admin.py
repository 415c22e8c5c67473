"""The admin port: health, readiness, policies, reload, budgets, metrics.

    GET  /healthz         the process answers                          (no token)
    GET  /readyz          200 with a policy in force, else 503         (no token)
    GET  /metrics         Prometheus text                              (no token)
    GET  /policy          name, version and hash of each policy, and the last reload's problems
    POST /policy/reload   200, or 422 with the problems (the old policies stay)
    GET  /budgets         ?budget=ID&containing=TEXT: live partitions

Invariants: loopback unless told otherwise; where a token is configured it guards everything that
names callers or changes anything, compared in constant time; without one those paths answer only
on a loopback address, and only to who calls it by one: a page in a browser of this host can reach
the port under a name of its own (DNS rebinding). Requests are small and bounded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import web

from promptward.errors import PortError
from promptward.exchange import JSON
from promptward.ports import UsageRow
from promptward_envoy.addresses import is_loopback
from promptward_envoy.bearer import BearerToken

_MAX_BODY_BYTES = 1024  # no path takes a body
_MAX_BUDGET_ROWS = 1000

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AdminView(Protocol):
    """What the admin port shows; one process, or a supervisor with workers."""

    def status(self) -> Mapping[str, JSON]:
        """`ready`, `policies` and `problems`."""
        ...

    async def reload(self) -> Sequence[str]:
        """Reload everywhere; the problems, empty when all is new."""
        ...

    async def budgets(self, budget: str | None, containing: str) -> Sequence[UsageRow]:
        """Live budget partitions.

        Raises:
            PortError: the ledger failed.
        """
        ...

    def metrics(self) -> bytes:
        """Prometheus text."""
        ...


class AdminPort:
    """The HTTP server of the admin port.

    Args:
        view: what to show.
        token: bearer token, empty for none.
    """

    def __init__(self, view: AdminView, token: str) -> None:
        self._view = view
        self._token = BearerToken(token) if token else None
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that was bound.

        Raises:
            ValueError: neither a token nor a loopback address.
            OSError: the address cannot be bound.
        """
        if self._token is None and not is_loopback(host):
            raise ValueError("an admin port that is not on loopback needs a token")
        self._runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/policy", self._guarded(self._policy))
        application.router.add_post("/policy/reload", self._guarded(self._reload))
        application.router.add_get("/budgets", self._guarded(self._budgets))
        return application

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("authorization", "")
            if self._token is not None and not self._token.is_in(given):
                headers = {"www-authenticate": "Bearer"}
                return web.json_response({"error": "unauthorized"}, status=401, headers=headers)
            if self._token is None and not is_loopback(_host_name(request)):
                return web.json_response({"error": "not_loopback"}, status=421)
            return await handler(request)

        return guarded

    async def _healthz(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"alive": True})

    async def _readyz(self, _request: web.Request) -> web.StreamResponse:
        status = self._view.status()
        shown = {"ready": status["ready"], "reload_failed": bool(status["problems"])}
        return web.json_response(shown, status=200 if status["ready"] else 503)

    async def _metrics(self, _request: web.Request) -> web.StreamResponse:
        # https://prometheus.io/docs/instrumenting/exposition_formats/
        headers = {"content-type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=self._view.metrics(), headers=headers)

    async def _policy(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(self._view.status())

    async def _reload(self, _request: web.Request) -> web.StreamResponse:
        problems = list(await self._view.reload())
        answer = {"reloaded": not problems, "problems": problems}
        return web.json_response(answer, status=422 if problems else 200)

    async def _budgets(self, request: web.Request) -> web.StreamResponse:
        budget = request.query.get("budget") or None
        try:
            rows = await self._view.budgets(budget, request.query.get("containing", ""))
        except PortError as error:
            return web.json_response({"error": error.reason}, status=503)
        shown = [_budget_row(row) for row in rows[:_MAX_BUDGET_ROWS]]
        return web.json_response({"budgets": shown})


def _host_name(request: web.Request) -> str:
    """The name or address in the Host field, without its port."""
    try:
        return urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return ""


def _budget_row(row: UsageRow) -> dict[str, JSON]:
    return {
        "bucket": row.bucket,
        "budget": row.budget,
        "partition": row.partition,
        "unit": row.unit,
        "limit": row.limit,
        "spent": row.spent,
        "reserved": row.reserved,
        "reset_s": row.reset_s,
    }
