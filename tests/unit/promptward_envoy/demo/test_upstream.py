"""The demo upstream over HTTP: the log is exactly what came."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from promptward_envoy.demo.request_log import RequestLog
from promptward_envoy.demo.upstream import Upstream


def ask(
    log: io.BytesIO | None, body: bytes, path: str = "/v1/chat/completions"
) -> tuple[int, bytes]:
    async def scenario() -> tuple[int, bytes]:
        runner = web.AppRunner(Upstream(RequestLog(log)).application(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        try:
            async with aiohttp.ClientSession() as client:
                url = f"http://127.0.0.1:{port}{path}"
                async with client.post(url, data=body) as answer:
                    return answer.status, await answer.read()
        finally:
            await runner.cleanup()

    return asyncio.run(scenario())


def body(text: str, **fields: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": text}], **fields}).encode()


def test_every_body_is_logged_before_it_is_answered() -> None:
    log = io.BytesIO()
    ask(log, body("hi"))
    ask(log, b"not a chat")
    assert log.getvalue().splitlines()[0] == body("hi")
    assert len(log.getvalue().splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "status"), [("hi", 200), ("[[status:503]]", 503), ("[[status:429]]", 429)]
)
def test_status(text, status) -> None:
    assert ask(None, body(text))[0] == status


def test_what_is_no_chat_is_400() -> None:
    assert ask(None, b"[]")[0] == 400


def test_stream_is_complete() -> None:
    status, data = ask(None, body("hi", stream=True))
    assert status == 200
    assert data.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
def test_cut_answer_is_cut(stream) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        ask(None, body("hi [[cut:1]]", stream=stream))
