"""Entry module of a test Worker that opens the ports to a test outside. Never deployed.

POST /ledger/<object>/<method>?now_us=N   a ledger method's text, on the test's clock
POST /verify                              [alg, jwk, signing input, signature] as base64
POST /deployed                            routes that one isolate reads from a list of ROUTEs, each
                                          with whether it is the same deployment as the one before
POST /tasks                               what tasks do, in the order they do it
POST /modules                             imported modules, and how many threads run
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import threading

import js
from workers import Request, Response, WorkerEntrypoint

from promptward.errors import PortError
from promptward.ledger import Book
from promptward.ports import BudgetLine, ReserveRequest, Window
from promptward_worker import turns
from promptward_worker.ledger_object import BudgetLedgerObject as RealLedgerObject
from promptward_worker.ledger_shelf import SqlShelf
from promptward_worker.signatures import WebCryptoVerifier
from promptward_worker.worker import Isolate

_VERIFIER = WebCryptoVerifier()
_LINE = BudgetLine("tokens", "claim.sub=ann", "total_tokens", 100, 90, Window("fixed", 3600))
_CRASHING = ReserveRequest("crash", "acme", (_LINE,), 60)


class BudgetLedgerObject(RealLedgerObject):
    """The real object with the test's clock."""

    def now_us(self) -> int:
        return self._stepped_us

    async def call(self, method: str, now_us: str, text: str) -> str:
        """Run `method` at the time `now_us`."""
        self._stepped_us = int(now_us)
        if method == "crash":
            return self._transact(self._crash)
        answer: str = getattr(self, method)(text)
        return answer

    def _crash(self, shelf: SqlShelf, now_us: int) -> str:
        """Charge a request and fail before the call ends."""
        Book().reserve(shelf, _CRASHING, now_us)
        raise PortError("ledger", "crashed on purpose")


class _Env:
    """Variables as a Worker is given them."""

    UPSTREAM = "route"

    def __init__(self, route: str) -> None:
        self.ROUTE = route


def _deployments(routes: list[str]) -> list[list[object]]:
    isolate, envs = Isolate(), {route: _Env(route) for route in routes}
    found: list[list[object]] = []
    for route in routes:
        deployment, policies = isolate.deployment, isolate.policies
        now = isolate.deployed(envs[route])  # type: ignore[arg-type]
        same = now is deployment and isolate.policies is policies
        found.append([now.settings.route, same])
    return found


async def _steps_of_tasks() -> list[object]:
    steps: list[object] = []

    async def short() -> None:
        steps.append("short")

    async def long() -> str:
        steps.append("long begins")
        await asyncio.sleep(0)
        return "long ends"

    async def failing() -> None:
        raise ValueError

    short_task = asyncio.ensure_future(short())
    steps.append("made")
    short_task.add_done_callback(lambda _: steps.append("told"))
    long_task = asyncio.ensure_future(long())
    long_task.add_done_callback(lambda _: steps.append("told"))
    steps.append(await long_task)
    try:
        await asyncio.ensure_future(failing())
    except ValueError:
        steps.append("failed")
    return steps


class Default(WorkerEntrypoint):
    """The questions."""

    async def fetch(self, request: Request) -> Response:
        """Answer one question; see the module's docstring."""
        url = js.URL.new(request.url)
        _, port, *rest = url.pathname.split("/")
        text = await request.text()
        if port == "ledger":
            stub = self.env.LEDGER.getByName(rest[0])
            return Response(await stub.call(rest[1], url.searchParams.get("now_us"), text))
        if port == "deployed":
            return Response(json.dumps(_deployments(json.loads(text))))
        if port == "tasks":
            return Response(json.dumps(await _steps_of_tasks()))
        if port == "verify":
            alg, key, signing_input, signature = json.loads(text)
            valid = await turns.begin(
                _VERIFIER.verify(
                    alg, key, base64.b64decode(signing_input), base64.b64decode(signature)
                )
            )
            return Response(json.dumps(valid))
        seen = {"modules": sorted(sys.modules), "threads": threading.active_count()}
        return Response(json.dumps(seen))
