"""The memory of a server that runs every check: bounded and flat (docs/adr/0011)."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from promptward_kong.testing import ClientRequest, Node, PluginConfig, RpcClient, ServerProcess

POLICY = {
    "apiVersion": "promptward/v1",
    "kind": "AISecurityPolicy",
    "metadata": {"name": "footprint"},
    "spec": {
        "identity": {"allow_anonymous": True},
        "authorization": {"default": "allow"},
        "budgets": [
            {
                "id": "day",
                "unit": "total_tokens",
                "limit": 10**9,
                "partition_by": ["model"],
                "window": {"type": "fixed", "duration": "1d"},
            }
        ],
        "checks": [
            {"id": "injection", "type": "prompt_injection"},
            {"id": "pii", "type": "pii", "phase": ["request"], "restore": False},
        ],
    },
}
PROSE = "The committee met on Tuesday to review the proposal for the new library building. "
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": PROSE * 24}]}).encode()
REQUEST = ClientRequest(
    headers=(("content-type", "application/json"), ("content-length", str(len(BODY)))), body=BODY
)


@pytest.fixture
def server(short_dir: Path) -> Iterator[ServerProcess]:
    path = short_dir / "m.sock"
    command = [sys.executable, "-m", "promptward_kong", "serve", "--socket", str(path)]
    process = ServerProcess([*command, "--audit", "none"], path)
    process.start()
    yield process
    process.stop()


def memory_mb(server: ServerProcess) -> float:
    """Proportional set size of the server and its workers: shared pages count once."""
    parent = psutil.Process(server.pid)
    family = [parent, *parent.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in family) / 1e6


def test_memory_stays_under_100_mb_and_flat(server):
    client = RpcClient(str(server.path))
    plugin = PluginConfig("promptward", {"policy": json.dumps(POLICY)}, ("access", "log"))
    node = Node(client, plugin, lambda state: (200, [("content-type", "application/json")], b"{}"))

    def load() -> None:
        def run() -> None:
            for _ in range(25):
                assert node.handle(REQUEST).status == 200

        threads = [threading.Thread(target=run) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    load()
    load()
    before = memory_mb(server)
    load()
    load()
    after = memory_mb(server)
    client.close()
    assert after < 100
    assert after < before * 1.05
