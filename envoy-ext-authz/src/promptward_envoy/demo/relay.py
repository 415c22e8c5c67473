"""A relay that logs what goes to a real upstream: `quickstart --upstream URL --upstream-log FILE`.

    python -m promptward_envoy.demo.relay --listen 127.0.0.1:0 --to https://api.example.com --log F

Prints `listening PORT`. Bodies are sent on as they came and answers stream back as they come. For
looking at, not for production: Envoy talks to a real upstream directly when no log is asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp import web

from promptward_envoy.demo.request_log import RequestLog
from promptward_envoy.demo.serving import serve

# RFC 9110 section 7.6.1; and what aiohttp frames itself
_NOT_FORWARDED = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"content-length", "host", "proxy-connection"}
)
_MAX_BODY_BYTES = 64 * 1024 * 1024
_CONNECT_TIMEOUT_S = 10.0


class Relay:
    """Sends requests on to one origin.

    Args:
        origin: scheme, host and perhaps a path prefix.
        log: of request bodies.
    """

    def __init__(self, origin: str, log: RequestLog) -> None:
        self._origin = origin.rstrip("/")
        self._log = log
        self._session: aiohttp.ClientSession | None = None

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self.forward)
        application.cleanup_ctx.append(self._open_session)
        return application

    async def _open_session(self, _application: web.Application) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_TIMEOUT_S)
        # Bodies pass as they are: nothing is decompressed on the way.
        self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        yield
        await self._session.close()

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Log the body, send the request on, stream the answer back."""
        assert self._session is not None
        body = await request.read()
        self._log.write(body)
        headers = [(n, v) for n, v in request.headers.items() if n.lower() not in _NOT_FORWARDED]
        url = self._origin + request.raw_path
        try:
            async with self._session.request(
                request.method, url, data=body or None, headers=headers, allow_redirects=False
            ) as answer:
                return await _send_back(request, answer)
        except aiohttp.ClientConnectionError:
            return web.Response(status=502, text="the upstream cannot be reached")


async def _send_back(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in answer.headers.items():
        if name.lower() not in _NOT_FORWARDED:
            response.headers.add(name, value)
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def main(argv: list[str]) -> int:
    """Command line of the relay."""
    parser = argparse.ArgumentParser(prog="promptward-envoy-demo-relay", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0", help="host:port; port 0 picks one")
    parser.add_argument("--to", required=True, metavar="URL", help="the real upstream")
    parser.add_argument("--log", type=Path, help="append request bodies to this file")
    options = parser.parse_args(argv)
    relay = Relay(options.to, RequestLog.open(options.log))
    asyncio.run(serve(relay.application(), options.listen))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
