"""deploy/compose/all: Envoy, Kong and the Worker keep one budget in one Redis.

Kong is represented by the real plugin server, with the stack's policy and its command line, behind a
driver that speaks Kong's protocol: Kong itself is in no package registry. Native only, for that reason.
"""

from __future__ import annotations

import contextlib
import json
import re
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
from stacks.native import NativeStack, at, free_address
from stacks.native_cloudflare import NativeCloudflare
from stacks.native_envoy import NativeEnvoy
from stacks.policy import change_policy, requests_budget
from stacks.stack import COMPOSE, wait_for

from promptward.cli.demo import KEYS, MODEL
from promptward_kong.testing import ClientRequest, Node, PluginConfig, RpcClient, ServerProcess
from promptward_kong.testing.pdk import HeaderList, RequestState

DEFAULT = re.compile(r"\$\{[A-Z_]+:-([^}]+)\}")
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


def settings_of_all(service: str) -> dict[str, str]:
    """What the compose file of all sets beside what the gateways' own files do."""
    services = yaml.safe_load((COMPOSE / "all" / "compose.yaml").read_text())["services"]
    found: dict[str, str] = services[service]["environment"]
    return {name: DEFAULT.sub(r"\1", value) for name, value in found.items()}


@contextlib.contextmanager
def serving(made: NativeStack) -> Iterator[None]:
    """Start it and wait until it serves; it is ended in any case."""
    try:
        made.boot()
        made.wait_until_serving()
        yield
    finally:
        made.stop()


@pytest.fixture
def envoy_of_all(tmp_path: Path) -> Iterator[NativeEnvoy]:
    """The Envoy part of the stack, under the policy of all."""
    policy_dir = tmp_path / "policy"
    shutil.copytree(COMPOSE / "all" / "policy", policy_dir)
    made = NativeEnvoy(tmp_path, policy_dir)
    settings = settings_of_all("promptward-a")
    made.ledger_port = free_address()
    assert settings["PROMPTWARD_LEDGER_LISTEN"] == "0.0.0.0:9920"
    here = {**settings, "PROMPTWARD_LEDGER_LISTEN": at(made.ledger_port)}
    made.more_settings["promptward-a"] = here
    with serving(made):
        yield made


@pytest.fixture
def worker_of_all(envoy_of_all: NativeEnvoy, tmp_path: Path) -> Iterator[NativeCloudflare]:
    """The Worker of the stack, with the policy folder of the Envoy part."""
    folder = tmp_path / "worker"
    folder.mkdir()
    made = NativeCloudflare(folder, envoy_of_all.policy_file.parent)
    settings = settings_of_all("worker")
    assert settings["LEDGER_URL"] == "http://promptward-a:9920"
    here = {**settings, "LEDGER_URL": f"http://{at(envoy_of_all.ledger_port)}"}
    made.more_settings["worker"] = here
    with serving(made):
        yield made


def test_what_is_spent_at_one_gateway_is_spent_at_the_other(envoy_of_all: NativeEnvoy) -> None:
    change_policy(envoy_of_all, budgets=[requests_budget(tiny=4)])
    ledger = f"redis://{at(envoy_of_all.reached('redis'))}/0"
    with kong(envoy_of_all.policy_file.read_text(), ledger) as node:
        statuses = []
        for _ in range(4):
            statuses.append(chat(envoy_of_all, "tiny", "Say hello.").status)
            statuses.append(ask_kong(node, "tiny").status)
    assert statuses == [200] * 4 + [429] * 4


def test_the_worker_draws_from_the_same_budget(
    envoy_of_all: NativeEnvoy, worker_of_all: NativeCloudflare
) -> None:
    change_policy(envoy_of_all, budgets=[requests_budget(tiny=4)])
    wait_for_policy_of(envoy_of_all, worker_of_all)
    in_turn = (envoy_of_all, worker_of_all) * 3
    statuses = [chat(stack, "tiny", "Say hello.").status for stack in in_turn]
    assert statuses == [200] * 4 + [429] * 2


def wait_for_policy_of(changed: NativeEnvoy, other: NativeCloudflare) -> None:
    """Both stacks read one file; wait until the second enforces it too."""
    rules = yaml.safe_load(changed.policy_file.read_text())["spec"]["authorization"]["rules"]
    probe = next(rule["models"][0] for rule in rules if rule["id"] == "probe")
    wait_for("the Worker's policy", lambda: chat(other, "full", "x", model=probe).status == 200)


def test_spent_at_the_worker_is_spent_at_envoy_and_none_is_lost_with_the_ledger_port(
    envoy_of_all: NativeEnvoy, worker_of_all: NativeCloudflare
) -> None:
    change_policy(envoy_of_all, budgets=[requests_budget(tiny=1)])
    wait_for_policy_of(envoy_of_all, worker_of_all)
    assert chat(worker_of_all, "tiny", "Say hello.").status == 200
    assert chat(envoy_of_all, "tiny", "Say hello.").status == 429
    envoy_of_all.crash("promptward-a")
    assert chat(worker_of_all, "full", "Say hello.").status == 503
    envoy_of_all.revive("promptward-a")
    wait_for("the ledger port", lambda: chat(worker_of_all, "full", "x").status == 200)
    assert chat(worker_of_all, "tiny", "Say hello.").status == 429
