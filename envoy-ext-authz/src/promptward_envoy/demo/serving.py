"""Serve an aiohttp application of the demo until the process is stopped."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

_SHUTDOWN_S = 0.1  # nobody waits for keep-alive connections at the end of a demo


async def serve(application: web.Application, listen: str) -> None:
    """Serve on `host:port`; prints `listening PORT` once requests are taken."""
    host, _colon, port = listen.rpartition(":")
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    await web.TCPSite(runner, host, int(port)).start()
    sys.stdout.write(f"listening {runner.addresses[0][1]}\n")
    sys.stdout.flush()
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
