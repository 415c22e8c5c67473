"""Memory stays where it is, however many requests an isolate has served."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from promptward_workerd import toolchain
from promptward_workerd.process import Workerd
from promptward_workerd.testing.client import ChatClient
from promptward_workerd.testing.scripted_origin import Origin

pytestmark = [pytest.mark.workerd, pytest.mark.slow]
StartWorker = Callable[..., Workerd]
ENTRY = toolchain.PROJECT / "dev/promptward_workerd/testing/bench_entry.py"
KEY = "pw-memory"
MIB = 1 << 20
PYTHON_MIB = 64  # of the 128 MB that Cloudflare gives an isolate
# WebAssembly memory grows by a fifth at a time (43 MiB to 52): one step is no trend, and a leak of
# 8 KB a request would be two.
PYTHON_STEP_MIB = 12
# V8's own heap grows by some 50 MB before it is collected; 5,500 requests end where 4,500 did.
RSS_GROWTH_MIB = 128
WARM_UP, REQUESTS = 1000, 2000
POLICY = {
    "apiVersion": "promptward/v1",
    "kind": "AISecurityPolicy",
    "metadata": {"name": "memory", "version": 1},
    "spec": {
        "identity": {
            "api_keys": {
                "keys": [{"id": "ann", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}]
            }
        },
        "authorization": {
            "default": "deny",
            "rules": [{"id": "all", "effect": "allow", "models": ["gpt-*"]}],
        },
        "budgets": [
            {
                "id": "tokens",
                "partition_by": ["principal"],
                "unit": "total_tokens",
                "limit": 10**12,
                "window": {"type": "sliding", "duration": "1h"},
            }
        ],
        "checks": [
            {"id": "injection", "type": "prompt_injection"},
            {"id": "privacy", "type": "pii", "phase": ["request", "response"], "restore": True},
        ],
    },
}


def served(worker: Workerd, count: int) -> tuple[int, int]:
    """Bytes of Python's memory and of the process after `count` more requests of every kind."""
    allowed = ChatClient(worker.host, worker.port, KEY)
    unknown = ChatClient(worker.host, worker.port, "pw-unknown")
    for number in range(count):
        text = f"Summary {number} for jane.roe{number}@example.com, please. " * 30
        match number % 10:
            case 0:
                assert unknown.chat(text).status == 401
            case 1:
                assert allowed.send(b'{"cut', headers=allowed.fields()).status == 400
            case 2:
                assert allowed.stream(text).rest()
            case _:
                assert allowed.chat(text).status == 200
    answer = allowed.send(b"", path="/.bench/memory", headers={})
    return int(answer.body), worker.rss_bytes()


def test_memory_is_flat_over_some_thousand_requests(
    start_worker: StartWorker, origin: Origin, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY), "utf-8")
    worker = start_worker(
        entry=ENTRY, policy=policy, has_kv=False, variables={"UPSTREAM": origin.url}
    )
    python_before, rss_before = served(worker, WARM_UP)
    python_after, rss_after = served(worker, REQUESTS)
    assert python_after <= PYTHON_MIB * MIB
    assert python_after - python_before <= PYTHON_STEP_MIB * MIB
    assert rss_after - rss_before <= RSS_GROWTH_MIB * MIB
