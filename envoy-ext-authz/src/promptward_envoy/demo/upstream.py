"""The demo upstream: a small OpenAI-compatible server that logs exactly what reached it.

    python -m promptward_envoy.demo.upstream --listen 127.0.0.1:0 --log FILE

Prints `listening PORT` when it can be asked. What it answers is `answers`' concern, the log
`request_log`'s.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import sys
from pathlib import Path

from aiohttp import web

from promptward_envoy.demo import answers
from promptward_envoy.demo.request_log import RequestLog
from promptward_envoy.demo.serving import serve

_MAX_BODY_BYTES = 64 * 1024 * 1024
_JSON = "application/json"


class Upstream:
    """Request handlers and the log.

    Args:
        log: of request bodies.
    """

    def __init__(self, log: RequestLog) -> None:
        self._log = log

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.router.add_get("/v1/models", self.models)
        application.router.add_route("*", "/{path:.*}", self.answer)
        return application

    async def models(self, _request: web.Request) -> web.StreamResponse:
        """One model, called demo."""
        return _json({"object": "list", "data": [{"id": "demo", "object": "model"}]}, 200)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Log the body, then answer as it asks."""
        body = await request.read()
        self._log.write(body)
        try:
            chat = answers.read_chat(body)
        except ValueError:
            return _json(answers.error(400), 400)
        await asyncio.sleep(chat.number("think", 0) / 1000)
        status = chat.number("status", 200)
        if status != 200:
            return _json(answers.error(status), status)
        if chat.stream:
            return await _stream(request, chat)
        return await _whole(request, chat)


def _seen(request: web.Request) -> dict[str, str]:
    """What reached the upstream, shown to the client. A demo may; a real upstream must not."""
    return {
        "x-demo-accept-encoding": request.headers.get("accept-encoding", ""),
        "x-demo-authorization": request.headers.get("authorization", ""),
        "x-demo-header-names": ",".join(sorted(name.lower() for name in request.headers)),
    }


async def _whole(request: web.Request, chat: answers.Chat) -> web.StreamResponse:
    body = json.dumps(answers.completion(chat), ensure_ascii=False).encode()
    headers = {"content-type": _JSON, **_seen(request)}
    if "gzip" in chat.directives:
        body, headers["content-encoding"] = gzip.compress(body, mtime=0), "gzip"
    if "coding" in chat.directives:
        headers["content-encoding"] = chat.directives["coding"]
    if "cut" not in chat.directives:
        return web.Response(body=body, headers=headers)
    response = web.StreamResponse(headers={**headers, "content-length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    return _break(request, response)


async def _stream(request: web.Request, chat: answers.Chat) -> web.StreamResponse:
    headers = {"content-type": "text/event-stream", "cache-control": "no-cache", **_seen(request)}
    chunks = answers.events(chat)
    if "gzip" in chat.directives:
        headers["content-encoding"] = "gzip"
        chunks = iter((gzip.compress(b"".join(chunks), mtime=0),))
    if "coding" in chat.directives:
        headers["content-encoding"] = chat.directives["coding"]
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(request)
    left = chat.number("cut", -1)
    for chunk in chunks:
        if left == 0:
            return _break(request, response)
        left -= 1
        if delay_ms := chat.number("slow", 0):
            await asyncio.sleep(delay_ms / 1000)
        await response.write(chunk)
    await response.write_eof()
    return response


def _break(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()  # flushes what was written, then a FIN in mid-body
    return response


def _json(document: answers.Document, status: int) -> web.Response:
    return web.Response(body=json.dumps(document).encode(), status=status, content_type=_JSON)


def main(argv: list[str]) -> int:
    """Command line of the demo upstream."""
    parser = argparse.ArgumentParser(prog="promptward-envoy-demo-upstream", description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0", help="host:port; port 0 picks one")
    parser.add_argument("--log", type=Path, help="append request bodies to this file")
    options = parser.parse_args(argv)
    upstream = Upstream(RequestLog.open(options.log))
    asyncio.run(serve(upstream.application(), options.listen))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
