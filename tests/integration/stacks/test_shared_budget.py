"""deploy/compose/all: Envoy and Kong keep one budget in one Redis, the Worker one of its own.

Kong is represented by the real plugin server, with the stack's policy and its command line, behind a
driver that speaks Kong's protocol: Kong itself is in no package registry. Native only, for that reason.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from stacks.client import chat
from stacks.native import at
from stacks.native_envoy import NativeEnvoy
from stacks.policy import change_policy, requests_budget
from stacks.stack import COMPOSE

from promptward.cli.demo import KEYS, MODEL
from promptward_kong.testing import ClientRequest, Node, PluginConfig, RpcClient, ServerProcess
from promptward_kong.testing.pdk import HeaderList, RequestState

ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


def upstream(_state: RequestState) -> tuple[int, HeaderList, bytes]:
    """An LLM API that says hi."""
    return 200, [("content-type", "application/json")], json.dumps(ANSWER).encode()


def command_of_kong(socket: Path, ledger: str) -> list[str]:
    """START_CMD of the compose file, with this machine's program, socket and Redis."""
    services = yaml.safe_load((COMPOSE / "kong" / "compose.yaml").read_text())["services"]
    command = shlex.split(
        services["kong"]["environment"]["KONG_PLUGINSERVER_PROMPTWARD_KONG_START_CMD"]
    )
    here = {"/var/run/kong/promptward.socket": str(socket), "redis://redis:6379/0": ledger}
    assert set(here) <= set(command)
    return [sys.executable, "-m", "promptward_kong", *(here.get(a, a) for a in command[1:])]


@contextlib.contextmanager
def kong(policy: str, ledger: str) -> Iterator[Node]:
    """A node whose plugin has `policy` and keeps budgets in `ledger`."""
    with tempfile.TemporaryDirectory(prefix="pwk") as name:  # short enough for a Unix socket
        socket = Path(name) / "k.sock"
        server = ServerProcess(command_of_kong(socket, ledger), socket)
        client = RpcClient(str(socket), 30.0)
        try:
            server.start()
            phases = ("access", "response", "log")
            yield Node(
                client, PluginConfig("promptward-buffered", {"policy": policy}, phases), upstream
            )
        finally:
            client.close()
            server.stop()


def ask_kong(node: Node, key: str) -> Any:
    """A chat request with one of the demo keys."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}]})
    headers = (
        ("host", "gateway.test"),
        ("authorization", f"Bearer {KEYS[key]}"),
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
    )
    return node.handle(ClientRequest(headers=headers, body=body.encode()))


@pytest.fixture
def envoy_of_all(tmp_path: Path) -> Iterator[NativeEnvoy]:
    """The Envoy part of the stack, under the policy of all."""
    policy_dir = tmp_path / "policy"
    shutil.copytree(COMPOSE / "all" / "policy", policy_dir)
    made = NativeEnvoy(tmp_path, policy_dir)
    try:
        made.boot()
        made.wait_until_serving()
        yield made
    finally:
        made.stop()


def test_what_is_spent_at_one_gateway_is_spent_at_the_other(envoy_of_all: NativeEnvoy) -> None:
    change_policy(envoy_of_all, budgets=[requests_budget(tiny=4)])
    ledger = f"redis://{at(envoy_of_all.reached('redis'))}/0"
    with kong(envoy_of_all.policy_file.read_text(), ledger) as node:
        statuses = []
        for _ in range(4):
            statuses.append(chat(envoy_of_all, "tiny", "Say hello.").status)
            statuses.append(ask_kong(node, "tiny").status)
    assert statuses == [200] * 4 + [429] * 4
