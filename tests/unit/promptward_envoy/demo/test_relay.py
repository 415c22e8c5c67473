"""The relay: bodies and answers pass unchanged, and what goes up is logged."""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

from promptward_envoy.demo.relay import Relay
from promptward_envoy.demo.request_log import RequestLog

PACKED = gzip.compress(b"answer", mtime=0)


async def listen(application: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


def through_relay(
    ask: Callable[[aiohttp.ClientSession, str], Awaitable[None]], *, up: bool = True
) -> tuple[list[Any], bytes]:
    """Ask a relay in front of an upstream; what the upstream saw, and the log."""
    seen: list[Any] = []
    log = io.BytesIO()

    async def upstream(request: web.Request) -> web.Response:
        seen.append((request.method, request.raw_path, await request.read(), request.headers))
        headers = {"content-encoding": "gzip", "x-answer": "1"}
        return web.Response(status=418, body=PACKED, headers=headers)

    async def scenario() -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", upstream)
        behind, origin = await listen(application)
        if not up:
            await behind.cleanup()
        relay, url = await listen(Relay(origin + "/base/", RequestLog(log)).application())
        async with aiohttp.ClientSession(auto_decompress=False) as client:
            await ask(client, url)
        await relay.cleanup()
        await behind.cleanup()

    asyncio.run(scenario())
    return seen, log.getvalue()


def test_request_and_answer_pass_unchanged() -> None:
    async def ask(client: aiohttp.ClientSession, url: str) -> None:
        headers = {"authorization": "Bearer up", "connection": "close"}
        async with client.post(url + "/v1/chat?a=1", data=b"{}", headers=headers) as answer:
            assert (answer.status, answer.headers["x-answer"]) == (418, "1")
            assert answer.headers["content-encoding"] == "gzip"
            assert await answer.read() == PACKED

    ((method, path, body, headers),), log = through_relay(ask)
    assert (method, path, body) == ("POST", "/base/v1/chat?a=1", b"{}")
    assert headers["authorization"] == "Bearer up"
    assert log == b"{}\n"


def test_upstream_that_is_down_is_502() -> None:
    async def ask(client: aiohttp.ClientSession, url: str) -> None:
        async with client.get(url + "/v1/models") as answer:
            assert answer.status == 502

    assert through_relay(ask, up=False)[0] == []
