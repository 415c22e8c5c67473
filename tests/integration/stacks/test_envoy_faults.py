"""What a client of the Envoy stack sees while parts of it fail, and that it comes back."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests
from stacks.client import chat
from stacks.policy import change_policy, requests_budget
from stacks.stack import Stack, wait_for

REPLICAS = ("promptward-a", "promptward-b")


def decisions(envoy: Stack, replica: str) -> int:
    """How many requests the replica has decided: one audit line each."""
    return sum(line.startswith("{") for line in envoy.logs(replica).splitlines())


@contextmanager
def traffic(envoy: Stack, clients: int = 3) -> Iterator[Counter[int]]:
    """Clients that keep asking; yields how often each status was answered (0: no answer)."""
    seen: Counter[int] = Counter()
    stop, lock = threading.Event(), threading.Lock()

    def ask() -> None:
        while not stop.is_set():
            try:
                status = chat(envoy, "full", "Say hello.").status
            except requests.RequestException:
                status = 0
            with lock:
                seen[status] += 1

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def refused(envoy: Stack, requests_: int = 5) -> None:
    """Every request is refused and none of them reaches the upstream."""
    canary = uuid.uuid4().hex
    for _ in range(requests_):
        assert chat(envoy, "full", canary).status >= 500
    assert canary not in envoy.logs("upstream")


def wait_until_deciding(envoy: Stack, replica: str) -> None:
    """Wait until Envoy sends requests to the replica, of the traffic that is under way."""
    before = decisions(envoy, replica)
    wait_for(f"{replica} to decide", lambda: decisions(envoy, replica) > before)


def test_both_replicas_serve(envoy: Stack) -> None:
    before = {r: decisions(envoy, r) for r in REPLICAS}
    with traffic(envoy) as seen:
        wait_for("both to decide", lambda: all(decisions(envoy, r) > before[r] for r in REPLICAS))
    assert set(seen) == {200}


def test_replicas_share_one_budget(envoy: Stack) -> None:
    change_policy(envoy, budgets=[requests_budget(tiny=10)])
    before = {r: decisions(envoy, r) for r in REPLICAS}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: chat(envoy, "tiny", "Say hello.").status, range(40)))
    assert Counter(answers) == {200: 10, 429: 30}
    for replica in REPLICAS:
        wait_for(f"{replica} to have decided", lambda r=replica: decisions(envoy, r) > before[r])


def test_one_crashed_replica_is_made_up_for(envoy: Stack) -> None:
    envoy.crash("promptward-a")
    # Requests under way are lost, and until Envoy has noticed a few more may be.
    envoy.wait_until_whole()


def test_hanging_service_fails_closed_and_recovers(envoy: Stack) -> None:
    for replica in REPLICAS:
        envoy.pause(replica)
    refused(envoy, 2)
    for replica in REPLICAS:
        envoy.resume(replica)
    envoy.wait_until_serving()


@pytest.mark.parametrize("harm", ["crash", "pause", "cut"])
def test_without_redis_budgets_fail_closed_and_recover(envoy: Stack, harm: str) -> None:
    getattr(envoy, harm)("redis")
    canary = uuid.uuid4().hex
    for _ in range(3):
        answer = chat(envoy, "full", canary)
        # The service's own answer: it did not wait for longer than its ledger's timeout.
        assert answer.status == 503
        assert b'"budget_store_unavailable"' in answer.body
    getattr(envoy, {"crash": "revive", "pause": "resume", "cut": "mend"}[harm])("redis")
    envoy.wait_until_serving()
    assert canary not in envoy.logs("upstream")


def test_service_cut_off_the_network_fails_closed_and_recovers(envoy: Stack) -> None:
    for replica in REPLICAS:
        envoy.cut(replica)
    refused(envoy, 2)
    for replica in REPLICAS:
        envoy.mend(replica)
    envoy.wait_until_serving()


def test_rolling_restart_fails_no_request(envoy: Stack) -> None:
    with traffic(envoy) as seen:
        for replica, other in (REPLICAS, REPLICAS[::-1]):
            wait_until_deciding(envoy, other)  # only then may this one go
            envoy.restart(replica)
            wait_until_deciding(envoy, replica)
    assert set(seen) == {200}, seen
    assert seen[200] > 50
