"""Single flight of the key cache, between threads and on an asyncio loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from promptward.auth.jwt_issuer import JwksCacheSettings
from promptward.errors import PortError
from promptward.ports import Jwk
from promptward.sync import run_sync
from promptward_ports.jwks import MAX_ADDRESSES, AsyncJwksKeySource, JwksKeySource

URI = "https://idp.example/jwks"
CACHE = JwksCacheSettings(ttl_s=300, min_refresh_s=30, stale_if_error_s=3600)
PATIENCE_S = 10


class SlowServer:
    """A key server whose answers wait until the test lets them go."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.kids = ["a"]
        self.fetches = 0
        self.asked = threading.Event()
        self.let_go = threading.Event()

    def fetch(self, uri: str) -> Sequence[Jwk]:
        self.fetches += 1
        self.asked.set()
        assert self.let_go.wait(PATIENCE_S)
        return [{"kty": "EC", "kid": kid} for kid in self.kids]

    def source(self) -> JwksKeySource:
        return JwksKeySource({URI: CACHE}, fetch=self.fetch, monotonic_s=lambda: self.now_s)


@pytest.fixture
def server() -> SlowServer:
    return SlowServer()


def ask(source: JwksKeySource, kid: str) -> list[Any]:
    return [key["kid"] for key in run_sync(source.keys(URI, kid))]


def warm(server: SlowServer, source: JwksKeySource) -> None:
    server.let_go.set()
    ask(source, "a")
    server.let_go.clear()
    server.asked.clear()


# --- threads ------------------------------------------------------------------------------------


def test_a_cold_cache_fetches_once_for_all_threads(server: SlowServer) -> None:
    source = server.source()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, source, "a") for _ in range(8)]
        assert server.asked.wait(PATIENCE_S)
        server.let_go.set()
        assert [answer.result(PATIENCE_S) for answer in answers] == [["a"]] * 8
    assert server.fetches == 1


def test_others_go_on_with_the_old_keys_while_one_fetches(server: SlowServer) -> None:
    source = server.source()
    warm(server, source)
    server.now_s += 300
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, source, "a")
        assert server.asked.wait(PATIENCE_S)
        assert [ask(source, "a") for _ in range(20)] == [["a"]] * 20  # none of these waits
        assert not first.done()
        server.let_go.set()
        assert first.result(PATIENCE_S) == ["a"]
    assert server.fetches == 2


def test_when_keys_rotate_nobody_is_told_that_the_new_one_is_unknown(server: SlowServer) -> None:
    source = server.source()
    warm(server, source)
    server.now_s += 30
    server.kids = ["a", "b"]
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(ask, source, "b")
        assert server.asked.wait(PATIENCE_S)
        others = [pool.submit(ask, source, "b") for _ in range(7)]
        server.let_go.set()
        assert [f.result(PATIENCE_S) for f in (first, *others)] == [["b"]] * 8
    assert server.fetches == 2


def test_a_fetch_of_one_address_does_not_hold_up_another(server: SlowServer) -> None:
    def fetch(uri: str) -> Sequence[Jwk]:
        return server.fetch(uri) if uri == URI else [{"kid": "other"}]

    source = JwksKeySource(fetch=fetch, monotonic_s=lambda: server.now_s)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ask, source, "a")
        assert server.asked.wait(PATIENCE_S)
        assert run_sync(source.keys("https://b.example/jwks", None)) == ({"kid": "other"},)
        server.let_go.set()
        assert slow.result(PATIENCE_S) == ["a"]


def test_a_bug_in_the_fetcher_does_not_wedge_the_cache(server: SlowServer) -> None:
    broken = [True]

    def fetch(_: str) -> Sequence[Jwk]:
        if broken.pop():
            raise ZeroDivisionError
        return [{"kid": "a"}]

    broken.insert(0, False)
    source = JwksKeySource(fetch=fetch, monotonic_s=lambda: server.now_s)
    with pytest.raises(ZeroDivisionError):
        ask(source, "a")
    assert ask(source, "a") == ["a"]


def test_the_number_of_addresses_is_bounded() -> None:
    source = JwksKeySource(fetch=lambda uri: [{"kid": uri}], monotonic_s=lambda: 0.0)
    for number in range(MAX_ADDRESSES + 50):
        run_sync(source.keys(f"https://{number}.example/", None))
    assert len(source._sets) == MAX_ADDRESSES


# --- asyncio ------------------------------------------------------------------------------------


async def let_go_when_asked(server: SlowServer) -> None:
    assert await asyncio.to_thread(server.asked.wait, PATIENCE_S)
    server.let_go.set()


def kids(keys: Sequence[Jwk]) -> list[Any]:
    return [key["kid"] for key in keys]


def test_the_loop_runs_on_while_one_thread_fetches_for_all(server: SlowServer) -> None:
    async def scenario() -> None:
        with ThreadPoolExecutor(1) as pool:  # a second thread would dead-lock this test
            source = AsyncJwksKeySource(server.source(), pool)
            asking = [asyncio.ensure_future(source.keys(URI, "a")) for _ in range(100)]
            await let_go_when_asked(server)
            async with asyncio.timeout(PATIENCE_S):
                answers = await asyncio.gather(*asking)
        assert [kids(answer) for answer in answers] == [["a"]] * 100

    asyncio.run(scenario())
    assert server.fetches == 1


def test_a_cancelled_request_does_not_cancel_the_fetch_of_others(server: SlowServer) -> None:
    async def scenario() -> None:
        source = AsyncJwksKeySource(server.source())
        leaving = asyncio.ensure_future(source.keys(URI, "a"))
        staying = asyncio.ensure_future(source.keys(URI, "a"))
        await asyncio.sleep(0)
        leaving.cancel()
        await let_go_when_asked(server)
        async with asyncio.timeout(PATIENCE_S):
            assert kids(await staying) == ["a"]
        assert leaving.cancelled()

    asyncio.run(scenario())
    assert server.fetches == 1


def test_known_keys_are_answered_without_suspending(server: SlowServer) -> None:
    source = server.source()
    warm(server, source)
    assert kids(run_sync(AsyncJwksKeySource(source).keys(URI, "a"))) == ["a"]


def test_a_failed_fetch_reaches_every_waiting_request() -> None:
    def fetch(_: str) -> Sequence[Jwk]:
        raise PortError("key_source", "down")

    async def scenario() -> None:
        source = AsyncJwksKeySource(JwksKeySource(fetch=fetch))
        answers = await asyncio.gather(
            *(source.keys(URI, "a") for _ in range(10)), return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {PortError}

    asyncio.run(scenario())


def test_a_stopped_executor_is_a_port_error(server: SlowServer) -> None:
    async def scenario() -> None:
        pool = ThreadPoolExecutor(1)
        pool.shutdown()
        with pytest.raises(PortError, match="shutting down"):
            await AsyncJwksKeySource(server.source(), pool).keys(URI, "a")

    asyncio.run(scenario())
