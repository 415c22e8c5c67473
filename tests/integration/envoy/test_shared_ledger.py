"""Two Envoys, two services, one Redis: one caller, one budget, whatever dies in between."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from promptward.sync import run_sync
from promptward.testing.fakes import KEY, policy_with
from promptward.testing.redis_server import RedisServer
from promptward_ports.ledgers import open_ledger

pytestmark = [pytest.mark.envoy, pytest.mark.redis]
LIMIT = 30


@contextmanager
def redis() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="pwr") as directory:
        server = RedisServer(Path(directory), durable=True, tcp=True)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def quickstart(folder: Path, name: str, ledger: str, **budget: Any) -> Iterator[dict[str, Any]]:
    """An Envoy with its service and upstream under a policy with one budget."""
    policy = folder / f"{name}.json"
    policy.write_text(policy_with(budgets=[{"id": "calls", "limit": LIMIT, **budget}]))
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "promptward_envoy", "quickstart", "--port", "0"]
            + ["--policy", str(policy), "--ledger", ledger],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("ready "):
                yield json.loads(line.removeprefix("ready "))
                break
        else:
            raise AssertionError((folder / f"{name}.log").read_text())
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.close()
        process.wait(20)


def ask(url: str) -> int:
    """Status of one chat completion."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]}
    headers = {"authorization": f"Bearer {KEY}"}
    return requests.post(
        f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30
    ).status_code


def test_two_envoys_draw_from_one_bucket_and_never_overspend(
    envoy_binary: Path, tmp_path: Path
) -> None:
    with redis() as server, ExitStack() as stack:
        urls = [
            stack.enter_context(quickstart(tmp_path, n, server.tcp_url, unit="requests"))["url"]
            for n in ("one", "two")
        ]
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(ask, urls * LIMIT))
        assert statuses.count(200) == LIMIT
        assert statuses.count(429) == LIMIT
        ledger = open_ledger(server.tcp_url, timeout_s=5)
        charged = [e for e in run_sync(ledger.entries()) if e.amount]
        run_sync(ledger.close())
        assert len(charged) == LIMIT
        assert {e.state for e in charged} <= {"open", "settled"}


def test_a_redis_that_dies_refuses_and_comes_back_with_everything(
    envoy_binary: Path, tmp_path: Path
) -> None:
    with redis() as server, quickstart(tmp_path, "one", server.tcp_url, unit="requests") as ready:
        assert [ask(ready["url"]) for _ in range(5)] == [200] * 5
        server.kill()
        assert ask(ready["url"]) == 503
        server.start()
        statuses: list[int] = []
        while statuses.count(429) == 0 and len(statuses) < 20 * LIMIT:
            statuses.append(ask(ready["url"]))
        # nothing that was spent before the crash was forgotten
        assert statuses.count(200) == LIMIT - 5
