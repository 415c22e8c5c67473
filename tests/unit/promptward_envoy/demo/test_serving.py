"""An application is announced once it answers, and gone when it is stopped."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from promptward_envoy.demo.serving import serve


def test_announces_the_port_it_answers_on_and_stops(capsys) -> None:
    async def scenario() -> None:
        serving = asyncio.create_task(serve(web.Application(), "127.0.0.1:0"))
        announced = ""
        while not announced:
            await asyncio.sleep(0)
            announced = capsys.readouterr().out
        word, port = announced.split()
        assert word == "listening"
        async with aiohttp.ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{port}/") as answer:
                assert answer.status == 404
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            with pytest.raises(aiohttp.ClientConnectionError):
                await client.get(f"http://127.0.0.1:{port}/")

    asyncio.run(scenario())
