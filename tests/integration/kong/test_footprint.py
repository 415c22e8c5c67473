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
    process = ServerProcess([*command, "--audit", "none", "--max-open", "100"], path)
    process.start()
    yield process
    process.stop()


def memory_mb(server: ServerProcess) -> float:
    """Proportional set size of the server and its workers: shared pages count once."""
    parent = psutil.Process(server.pid)
    family = [parent, *parent.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in family) / 1e6


def load(node: Node, requests: int) -> None:
    """`requests` requests, sixteen at once."""

    def run() -> None:
        for _ in range(requests // 16):
            assert node.handle(REQUEST).status == 200

    threads = [threading.Thread(target=run) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("phases", [("access", "log"), ("access",)], ids=["with log", "no log"])
def test_memory_stays_under_100_mb_and_flat(server, phases):
    """Also where no log phase ever takes a ticket back (`--max-open` is 100 here)."""
    client = RpcClient(str(server.path))
    plugin = PluginConfig("promptward", {"policy": json.dumps(POLICY)}, phases)
    node = Node(client, plugin, lambda state: (200, [("content-type", "application/json")], b"{}"))
    load(node, 800)
    before = memory_mb(server)
    load(node, 800)
    after = memory_mb(server)
    assert server.status()["Tickets"] == (0 if phases[-1] == "log" else 100)
    client.close()
    assert after < 100
    assert after < before * 1.05
