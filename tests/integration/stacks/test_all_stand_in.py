"""deploy/compose/all in containers, with a FAKE Kong (see test_kong_stand_in.py) and all else real.

That Envoy and Kong's plugin server charge the same caller alike is in test_shared_budget.py; here it
is that the container of Kong reaches the Redis in which Envoy's service has charged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests
from pytest_docker.plugin import get_docker_ip
from stacks.fake_kong import Containers, with_fake_kong
from stacks.stack import COMPOSE, wait_for

from promptward.cli.demo import KEYS, MODEL


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The stack, with both real gateways serving."""
    with with_fake_kong("all", ["compose.yaml"], tmp_path_factory.mktemp("all")) as made:
        for service, port in (("envoy", 10000), ("worker", 8787)):
            address = url(made, service, port)
            wait_for(service, lambda address=address: ask(address, "full") == 200, 120.0)
        yield made


def url(every: Containers, service: str, port: int) -> str:
    published = every.compose(f"port {service} {port}").strip().rpartition(":")[2]
    return f"http://{get_docker_ip()}:{published}"


def ask(address: str, key: str) -> int:
    """The status of a chat request with one of the demo keys; 0 without an answer."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}]}
    headers = {"authorization": f"Bearer {KEYS[key]}"}
    try:
        path = f"{address}/v1/chat/completions"
        return requests.post(path, json=body, headers=headers, timeout=30).status_code
    except requests.RequestException:
        return 0


def test_envoys_budgets_are_where_kong_keeps_its_own(every: Containers) -> None:
    """The policy gives this key one call an hour."""
    address = url(every, "envoy", 10000)
    assert [ask(address, "tiny") for _ in range(2)] == [200, 429]
    command = every.inspect("kong")["Config"]["Env"]
    start = next(v for v in command if v.startswith("KONG_PLUGINSERVER_PROMPTWARD_KONG_START_CMD="))
    ledger = start.split("--ledger ")[1]
    listed = every.shell("kong", f"/opt/promptward/bin/promptward budgets --ledger {ledger} list")
    assert "demo-tiny" in listed
    assert "calls-per-hour" in listed


def test_the_worker_draws_from_the_same_budget(every: Containers) -> None:
    """Over the ledger port of a service: the one call of the hour has been spent at Envoy."""
    assert ask(url(every, "envoy", 10000), "tiny") in {200, 429}
    assert ask(url(every, "worker", 8787), "tiny") == 429


def test_kong_is_told_the_same_policy(every: Containers) -> None:
    shipped = (COMPOSE / "all" / "policy" / "policy.yaml").read_text()
    assert every.inspect("configure")["State"]["ExitCode"] == 0
    assert json.dumps(shipped) in json.dumps(every.told())
    for service, folder in (
        ("promptward-a", "/etc/promptward"),
        ("worker", "/var/lib/promptward/kv"),
    ):
        assert every.shell(service, f"cat {folder}/policy.yaml") == shipped.strip()
