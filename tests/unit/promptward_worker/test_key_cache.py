"""The JWKS cache."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from promptward.errors import PortError
from promptward.sync import run_sync
from promptward_worker.key_cache import (
    MAX_DOCUMENT_BYTES,
    MAX_KEYS,
    CacheTimes,
    KeyCache,
    KeyMemory,
    parse_keys,
)

URI = "https://issuer.example.com/keys"
TIMES = CacheTimes(ttl_s=300, min_refresh_s=30, stale_if_error_s=600)


@dataclass
class World:
    """A key server, a clock, KV and any number of isolates."""

    kids: list[str] = field(default_factory=lambda: ["a"])
    now: float = 1000.0
    fetches: int = 0
    down: bool = False
    kv: dict[str, str] = field(default_factory=dict)
    kv_down: bool = False
    memory: KeyMemory = field(default_factory=KeyMemory)

    def now_s(self) -> float:
        return self.now

    async def fetch(self, uri: str) -> bytes:
        assert uri == URI
        self.fetches += 1
        if self.down:
            raise PortError("keys", "down")
        return json.dumps({"keys": [{"kid": kid} for kid in self.kids]}).encode()

    async def get(self, key: str) -> str | None:
        if self.kv_down:
            raise PortError("kv", "down")
        return self.kv.get(key)

    async def put(self, key: str, value: str, ttl_s: int = 0) -> None:
        assert ttl_s >= 60
        if self.kv_down:
            raise PortError("kv", "down")
        self.kv[key] = value

    def ask(self, kid: str | None, *, has_kv: bool = True) -> list[str]:
        store = self if has_kv else None
        cache = KeyCache(self.memory, store, self.fetch, self, {URI: TIMES})
        return [str(key["kid"]) for key in run_sync(cache.keys(URI, kid))]

    def new_isolate(self) -> None:
        self.memory = KeyMemory()


def test_keys_are_fetched_once_and_kept_for_their_life() -> None:
    world = World()
    assert [world.ask("a") for _ in range(5)] == [["a"]] * 5
    world.now += 299
    world.ask("a")
    assert world.fetches == 1
    world.now += 2
    assert world.ask("a") == ["a"]
    assert world.fetches == 2


def test_another_isolate_takes_them_from_kv() -> None:
    world = World()
    world.ask("a")
    world.new_isolate()
    assert world.ask("a") == ["a"]
    assert world.fetches == 1


def test_without_kid_all_keys_are_candidates() -> None:
    assert World(kids=["a", "b"]).ask(None) == ["a", "b"]


def test_a_new_key_is_found_at_once_and_a_stream_of_unknown_ones_costs_one_fetch() -> None:
    world = World()
    world.ask("a")
    world.now += 31
    world.kids.append("b")
    assert world.ask("b") == ["b"]
    assert world.fetches == 2
    assert [world.ask(f"x{i}") for i in range(50)] == [[]] * 50
    assert world.fetches == 2
    world.now += 31
    assert world.ask("x") == []
    assert world.fetches == 3


def test_a_failing_key_server_is_bridged_for_a_bounded_time() -> None:
    world = World()
    world.ask("a")
    world.down = True
    world.now += 301
    assert world.ask("a") == ["a"]
    world.now += 598
    assert world.ask("a") == ["a"]
    world.now += 2
    with pytest.raises(PortError):
        world.ask("a")


def test_a_failing_key_server_is_not_hammered() -> None:
    world = World(down=True)
    for _ in range(20):
        with pytest.raises(PortError):
            world.ask("a")
    assert world.fetches == 1


def test_kv_down_or_absent_only_costs_fetches() -> None:
    world = World(kv_down=True)
    assert world.ask("a") == ["a"]
    assert World().ask("a", has_kv=False) == ["a"]


@pytest.mark.parametrize("text", ["", "[]", '{"keys": []}', '{"fetched_s": "x", "keys": []}', "{"])
def test_rubbish_in_kv_is_ignored(text: str) -> None:
    world = World()
    world.ask("a")
    (key,) = world.kv
    world.kv[key] = text
    world.new_isolate()
    world.now += 31
    assert world.ask("a") == ["a"]
    assert world.fetches == 2


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'{"keys": {}}',
        b"\xff",
        b"[" * 100_000,
        b'{"keys": [' + b"{}," * MAX_KEYS + b"{}]}",
        b'{"keys": []}' + b" " * MAX_DOCUMENT_BYTES,
    ],
)
def test_a_document_that_is_no_key_set_is_a_failure(document: bytes) -> None:
    with pytest.raises(PortError):
        parse_keys(document)


def test_what_is_no_key_in_a_set_is_left_out() -> None:
    assert parse_keys(b'{"keys": [1, {"kid": "a"}, null]}') == ({"kid": "a"},)
