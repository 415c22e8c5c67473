"""The contract of the KeySource port, and the cache rules that every implementation shares.

The key server is a function and time is moved by hand; real sockets are in
tests/unit/promptward_ports/test_jwks_fetch.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import pytest

from promptward.auth.jwt_issuer import JwksCacheSettings
from promptward.errors import PortError
from promptward.ports import Jwk
from promptward.sync import run_sync
from promptward_ports.jwks import ERROR_BACKOFF_S, AsyncJwksKeySource, JwksKeySource

URI = "https://idp.example/jwks"
CACHE = JwksCacheSettings(ttl_s=300, min_refresh_s=30, stale_if_error_s=3600)
A, B = {"kty": "EC", "kid": "a"}, {"kty": "EC", "kid": "b"}


class KeyServer:
    """A key server on a clock of its own."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.keys: list[dict[str, Any]] = [A]
        self.down = False
        self.fetches = 0

    def fetch(self, uri: str) -> Sequence[Jwk]:
        assert uri == URI
        self.fetches += 1
        if self.down:
            raise PortError("key_source", "down")
        return list(self.keys)


class Driver:
    """One implementation, asked synchronously."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any], source: Any) -> None:
        self._run, self._source = run, source

    def kids(self, kid: str | None = None) -> list[str]:
        return [key["kid"] for key in self._run(self._source.keys(URI, kid))]


@pytest.fixture
def server() -> KeyServer:
    return KeyServer()


@pytest.fixture(params=["blocking", "asyncio"])
def source(request: pytest.FixtureRequest, server: KeyServer) -> Iterator[Driver]:
    cache = JwksKeySource({URI: CACHE}, fetch=server.fetch, monotonic_s=lambda: server.now_s)
    if request.param == "blocking":
        yield Driver(run_sync, cache)
        return
    with asyncio.Runner() as runner:
        yield Driver(runner.run, AsyncJwksKeySource(cache))


def test_keys_by_id_and_all_of_them(source: Driver, server: KeyServer) -> None:
    server.keys = [A, B, {**B, "alg": "ES256"}]
    assert source.kids("a") == ["a"]
    assert source.kids("b") == ["b", "b"]
    assert source.kids(None) == ["a", "b", "b"]
    assert source.kids("c") == []
    assert server.fetches == 1


def test_keys_are_kept_for_their_ttl(source: Driver, server: KeyServer) -> None:
    source.kids("a")
    server.keys = [B]
    server.now_s += 299
    assert source.kids("a") == ["a"]
    assert server.fetches == 1
    server.now_s += 1
    assert source.kids("a") == []
    assert source.kids("b") == ["b"]
    assert server.fetches == 2


def test_a_new_key_id_is_looked_up_at_once_but_rarely(source: Driver, server: KeyServer) -> None:
    source.kids("a")
    server.keys = [A, B]
    server.now_s += 29
    assert source.kids("b") == []
    assert server.fetches == 1
    server.now_s += 1
    assert source.kids("b") == ["b"]
    assert server.fetches == 2


def test_a_flood_of_invented_key_ids_costs_one_fetch(source: Driver, server: KeyServer) -> None:
    source.kids("a")
    server.now_s += 30
    for number in range(500):
        assert source.kids(f"invented-{number}") == []
    assert server.fetches == 2
    assert source.kids("a") == ["a"]


def test_without_any_keys_a_failure_is_an_error(source: Driver, server: KeyServer) -> None:
    server.down = True
    for _ in range(50):
        with pytest.raises(PortError):
            source.kids("a")
    assert server.fetches == 1
    server.now_s += ERROR_BACKOFF_S
    server.down = False
    assert source.kids("a") == ["a"]


def test_known_keys_outlive_their_ttl_while_the_server_fails(
    source: Driver, server: KeyServer
) -> None:
    source.kids("a")
    server.down = True
    server.now_s += 300 + 3599
    for _ in range(50):
        assert source.kids("a") == ["a"]
    assert server.fetches == 2


def test_but_not_for_ever(source: Driver, server: KeyServer) -> None:
    source.kids("a")
    server.down = True
    server.now_s += 300 + 3600
    with pytest.raises(PortError):
        source.kids("a")


def test_an_outdated_set_cannot_call_a_key_unknown(source: Driver, server: KeyServer) -> None:
    source.kids("a")
    server.down = True
    server.now_s += 301
    with pytest.raises(PortError):
        source.kids("b")
    server.down, server.keys = False, [B]
    server.now_s += ERROR_BACKOFF_S
    assert source.kids("b") == ["b"]


def test_a_fresh_set_can_even_while_the_server_fails(source: Driver, server: KeyServer) -> None:
    source.kids("a")
    server.down = True
    server.now_s += 30
    assert source.kids("b") == []
    assert source.kids("a") == ["a"]
    assert server.fetches == 2
    assert source.kids("b") == []
    assert server.fetches == 2


def test_retries_are_spaced_while_the_server_fails(source: Driver, server: KeyServer) -> None:
    source.kids("a")
    server.down = True
    server.now_s += 301
    for second in range(20):
        source.kids("a")
        server.now_s += 1
        assert server.fetches <= 2 + second / ERROR_BACKOFF_S + 1


def test_a_server_may_withdraw_all_keys(source: Driver, server: KeyServer) -> None:
    source.kids("a")
    server.keys = []
    server.now_s += 300
    assert source.kids("a") == []
    assert source.kids(None) == []
