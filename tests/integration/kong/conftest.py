"""A plugin server as Kong runs it, and a Kong node without Kong in front of it."""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promptward_kong.testing import Node, PluginConfig, RpcClient, ServerProcess
from promptward_kong.testing.gate import LuaGate
from promptward_kong.testing.pdk import HeaderList, RequestState

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory whose path is short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="pwk") as name:
        yield Path(name)


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Poll a condition until it holds; fails after `timeout_s`."""

    def wait(condition: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout_s} s: {what}")
            time.sleep(0.01)

    return wait


def _upstream(state: RequestState) -> tuple[int, HeaderList, bytes]:
    return 200, [("content-type", "text/plain"), ("x-up", "1")], b"upstream"


class FaultyKong:
    """A faulty plugin server and nodes that use it."""

    def __init__(self, directory: Path, deadline_s: float = 1.0, workers: int = 1) -> None:
        self.path = directory / "faulty.sock"
        script = str(HERE / "faulty_server.py")
        self.server = ServerProcess(
            [sys.executable, script, str(self.path), str(deadline_s), str(workers)], self.path
        )
        self.server.start()
        self._clients: list[RpcClient] = []
        self._seq = itertools.count(1)

    def node(self, timeout_s: float = 60.0, gate: Any = None, **config: Any) -> Node:
        """A node whose plugin has `config`."""
        client = RpcClient(str(self.path), timeout_s)
        self._clients.append(client)
        plugin = PluginConfig("faulty", config, ("access", "log"), seq=next(self._seq))
        return Node(client, plugin, _upstream, gate)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.server.stop()


@pytest.fixture
def faulty(short_dir: Path) -> Iterator[FaultyKong]:
    """A faulty server with one worker and a deadline of one second."""
    kong = FaultyKong(short_dir)
    yield kong
    kong.close()


@pytest.fixture
def faulty_with(short_dir: Path) -> Iterator[Callable[..., FaultyKong]]:
    """Makes a faulty server with a deadline and a number of workers."""
    made: list[FaultyKong] = []

    def make(**options: Any) -> FaultyKong:
        made.append(FaultyKong(short_dir, **options))
        return made[-1]

    yield make
    for kong in made:
        kong.close()


@pytest.fixture(scope="module")
def shared_faulty() -> Iterator[FaultyKong]:
    """The same for tests that leave the server as it was."""
    with tempfile.TemporaryDirectory(prefix="pwk") as name:
        kong = FaultyKong(Path(name))
        yield kong
        kong.close()


@pytest.fixture
def gate() -> LuaGate:
    """The real gate."""
    return LuaGate()
