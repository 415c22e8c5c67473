"""The ledger port: reserve and settle over HTTP, for gateways that cannot reach the store.

    POST /v1/ledger/reserve   a ReserveRequest; 200 with its ReserveOutcome
    POST /v1/ledger/settle    a SettleRequest; 200 with the line states

Bodies are those of `promptward.ledger.wire`; errors are `{"error": reason}` with 400 (malformed or
out of bounds), 401, 408, 413, or 503 (the store failed, or too many calls at once).

Invariants: there is no port without a token; it is kept as a digest, compared in constant time,
and before a body is read. Bodies, the time to send one and calls at once are bounded. Of a fault
of ours the place is logged, of anything else nothing: bodies name callers. Off unless asked for;
whoever has the token can charge any budget, and settle any reservation whose id they know.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web

from promptward.errors import ExchangeError, PortError
from promptward.jsonstrict import JsonLimits, parse
from promptward.ledger import wire
from promptward.ledger.bounds import check_reserve, check_settle
from promptward.ports import BudgetLedger
from promptward_envoy.bearer import BearerToken
from promptward_envoy.faults import log_fault

MIN_TOKEN_CHARS = 16
# A reservation of the most lines (32) with the longest partitions (4096 characters) is 140 KB.
_MAX_BODY_BYTES = 256 * 1024
_LIMITS = JsonLimits(max_bytes=_MAX_BODY_BYTES, max_depth=8)
_BODY_S = 5.0
_MAX_CALLS = 1000
_STOP_S = 5.0  # calls under way when the port stops; a store answers within its own timeout

# aiohttp's own messages quote what it could not read: a body, or the token.
_SILENT = logging.Logger("promptward.envoy.ledger_port", logging.CRITICAL + 1)

T = TypeVar("T")
Call = Callable[[str], Awaitable[str]]


class LedgerPort:
    """The HTTP server of the ledger port.

    Args:
        ledger: what is served; its owner closes it.
        token: bearer token.

    Raises:
        ValueError: the token is shorter than `MIN_TOKEN_CHARS`.
    """

    def __init__(self, ledger: BudgetLedger, token: str) -> None:
        if len(token) < MIN_TOKEN_CHARS:
            raise ValueError(f"the ledger port needs a token of {MIN_TOKEN_CHARS} characters")
        self._ledger = ledger
        self._token = BearerToken(token)
        self._calls = 0
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port that was bound.

        Raises:
            OSError: the address cannot be bound.
        """
        self._runner = web.AppRunner(
            self.application(),
            access_log=None,
            auto_decompress=False,  # aiohttp would do it before the token is looked at
            logger=_SILENT,
            shutdown_timeout=_STOP_S,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening; calls under way are finished."""
        if self._runner is not None:
            await self._runner.cleanup()

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        for path, call in ((wire.RESERVE_PATH, self._reserve), (wire.SETTLE_PATH, self._settle)):
            application.router.add_post(path, self._guarded(call))
        return application

    def _guarded(self, call: Call) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if not self._token.is_in(request.headers.get("authorization", "")):
                return _answer(401, wire.error_text("unauthorized"))
            if self._calls >= _MAX_CALLS:
                return _answer(503, wire.error_text("too many calls at once"))
            self._calls += 1
            try:
                return await _answered(request, call)
            finally:
                self._calls -= 1

        return guarded

    async def _reserve(self, text: str) -> str:
        request = wire.reserve_request(text)
        check_reserve(request)
        return wire.outcome_text(await _stored(self._ledger.reserve(request)))

    async def _settle(self, text: str) -> str:
        request = wire.settle_request(text)
        check_settle(request)
        return wire.states_text(await _stored(self._ledger.settle(request)))


class _StoreFailedError(Exception):
    """The request was in order; the store was not."""


async def _stored(work: Awaitable[T]) -> T:
    try:
        return await work
    except PortError as error:
        raise _StoreFailedError(error.reason) from error


async def _answered(request: web.Request, call: Call) -> web.Response:
    try:
        async with asyncio.timeout(_BODY_S):
            body = await request.read()
        parse(body, _LIMITS)  # refuses what JSON readers disagree about
        return _answer(200, await call(body.decode()))
    except TimeoutError:
        return _answer(408, wire.error_text("the body took too long"))
    except web.HTTPRequestEntityTooLarge:
        return _answer(413, wire.error_text(f"at most {_MAX_BODY_BYTES} bytes"))
    except (ConnectionError, web.RequestPayloadError):
        return _answer(400, wire.error_text("the body was cut"))
    except ExchangeError as error:
        return _answer(400, wire.error_text(error.code))
    except PortError as error:
        return _answer(400, wire.error_text(error.reason))
    except _StoreFailedError as error:
        return _answer(503, wire.error_text(str(error)))
    except Exception as error:  # noqa: BLE001 - fail closed
        log_fault("ledger port", error)
        return _answer(503, wire.error_text("internal"))


def _answer(status: int, text: str) -> web.Response:
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return web.Response(status=status, text=text, content_type="application/json", headers=headers)
