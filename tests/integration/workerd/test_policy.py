"""The policy in force, and what happens without one. Every failure is a refusal."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from promptward_workerd.process import Workerd
from promptward_workerd.testing.client import Answer, ChatClient
from promptward_workerd.testing.scripted_origin import Origin

pytestmark = pytest.mark.workerd
StartWorker = Callable[..., Workerd]
POLICY = (Path(__file__).parent / "policy.yaml").read_text("utf-8")
DEADLINE_S = 20.0


def version(number: int) -> str:
    return POLICY.replace("version: 1", f"version: {number}")


def kv_file(worker: Workerd, key: str) -> Path:
    return worker.log.parent / "state" / "kv" / key


def audited(worker: Workerd) -> list[dict[str, object]]:
    lines = worker.log.read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return [event for event in events if event.get("event") == "audit"]


def events(worker: Workerd, name: str) -> list[dict[str, object]]:
    lines = worker.log.read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [event for event in found if event.get("event") == name]


def ask(worker: Workerd) -> Answer:
    return ChatClient(worker.host, worker.port, "pw-test-alice").chat("hello")


def ask_until(worker: Workerd, condition: Callable[[], bool]) -> Answer:
    end = time.monotonic() + DEADLINE_S
    while True:
        answer = ask(worker)
        if condition():
            return answer
        assert time.monotonic() < end, "the deadline passed"
        threading.Event().wait(0.2)


def test_an_edit_in_kv_is_enforced_without_a_deployment_and_a_bad_one_is_not(
    start_worker: StartWorker, origin: Origin
) -> None:
    worker = start_worker(
        kv={"policy": version(1)}, variables={"UPSTREAM": origin.url, "POLICY_REFRESH_S": "1"}
    )
    assert ask(worker).status == 200
    digest = hashlib.sha256(version(1).encode()).hexdigest()
    expected = {"name": "worker-test", "version": 1, "sha256": digest}
    assert audited(worker)[-1]["policy"] == expected

    kv_file(worker, "policy").write_text(version(2).replace("gpt-4o-mini", "other"))
    refused = ask_until(
        worker,
        lambda: '"version":2' in json.dumps(audited(worker)[-1]["policy"], separators=(",", ":")),
    )
    assert refused.status == 403

    kv_file(worker, "policy").write_text(version(3) + "    nonsense: true\n")
    ask_until(worker, lambda: len(events(worker, "policy_rejected")) > 0)
    assert ask(worker).status == 403
    assert events(worker, "policy_rejected")[0]["details"]
    assert kv_file(worker, "policy.last-good").read_text() == version(2).replace(
        "gpt-4o-mini", "other"
    )

    kv_file(worker, "policy").unlink()
    kv_file(worker, "policy").write_text(version(4))
    assert (
        ask_until(
            worker,
            lambda: (
                '"version":4' in json.dumps(audited(worker)[-1]["policy"], separators=(",", ":"))
            ),
        ).status
        == 200
    )


def test_a_cold_start_with_a_bad_policy_uses_the_last_good_one(
    start_worker: StartWorker, origin: Origin
) -> None:
    worker = start_worker(
        kv={"policy": "kind: Nonsense", "policy.last-good": version(7)},
        variables={"UPSTREAM": origin.url},
    )
    assert ask(worker).status == 200
    assert len(events(worker, "policy_last_good")) == 1


@pytest.mark.parametrize(
    ("kv", "variables", "code"),
    [
        ({}, {}, "worker_misconfigured"),
        ({}, {"UPSTREAM": "ORIGIN"}, "policy_unavailable"),
        ({"policy": "kind: Nonsense"}, {"UPSTREAM": "ORIGIN"}, "policy_unavailable"),
    ],
    ids=["no-upstream", "no-policy", "bad-policy"],
)
def test_a_worker_that_cannot_decide_lets_nothing_through(
    kv: dict[str, str],
    variables: dict[str, str],
    code: str,
    start_worker: StartWorker,
    origin: Origin,
) -> None:
    seen = len(origin.received)
    given = {name: value.replace("ORIGIN", origin.url) for name, value in variables.items()}
    answer = ask(start_worker(kv=kv, variables=given))
    assert (answer.status, answer.code) == (503, code)
    assert len(origin.received) == seen


def test_trust_in_other_gateways_alone_is_refused(
    start_worker: StartWorker, origin: Origin
) -> None:
    foreign = POLICY.replace("  identity:", "  identity:\n    gateway: {methods: [kong_consumer]}")
    worker = start_worker(kv={"policy": foreign}, variables={"UPSTREAM": origin.url})
    answer = ask(worker)
    assert (answer.status, answer.code) == (503, "policy_unavailable")
    assert "add cloudflare_access" in str(events(worker, "policy_rejected")[0]["details"])


@pytest.mark.parametrize("upstream", ["binding", "route"])
def test_the_origin_may_be_a_service_binding_or_the_route(
    upstream: str, start_worker: StartWorker, origin: Origin
) -> None:
    bound = origin.address if upstream == "binding" else None
    worker = start_worker(kv={"policy": POLICY}, variables={"UPSTREAM": upstream}, origin=bound)
    chat = ChatClient(worker.host, worker.port, "pw-test-alice")
    # on a route, the request's own URL is the origin's
    host = "ai.example.com" if upstream == "binding" else origin.address
    answer = chat.chat("hello jane.roe@example.com", {"host": host})
    assert answer.text == "You said: hello jane.roe@example.com"
    assert origin.received[-1].headers["host"] == host
    assert "jane.roe" not in origin.received[-1].text


def test_a_binding_that_is_missing_is_a_refusal(start_worker: StartWorker) -> None:
    answer = ask(start_worker(kv={"policy": POLICY}, variables={"UPSTREAM": "binding"}))
    assert (answer.status, answer.code) == (503, "upstream_error")


def test_budgets_without_a_ledger_are_a_refusal(start_worker: StartWorker, origin: Origin) -> None:
    seen = len(origin.received)
    worker = start_worker(
        kv={"policy": POLICY}, variables={"UPSTREAM": origin.url}, has_ledger=False
    )
    answer = ask(worker)
    assert (answer.status, answer.code) == (503, "guard_failed")
    assert "ledger" in str(events(worker, "guard_failed")[0]["details"])
    assert len(origin.received) == seen


def test_a_hot_tenant_is_spread_and_never_gets_more_than_its_limit(
    start_worker: StartWorker, origin: Origin
) -> None:
    policy = (
        POLICY.replace("limit: 1}", "limit: 6}")
        .replace("  budgets:", "  budget_tenant: claim.sub\n  budgets:")
        .replace("partition_by: [principal]", "partition_by: [claim.sub]")
    )
    worker = start_worker(
        kv={"policy": policy},
        variables={"UPSTREAM": origin.url, "LEDGER_SHARDS": '{"claim.sub=tiny": 3}'},
    )
    chat = ChatClient(worker.host, worker.port, "pw-test-tiny")
    answers = [chat.chat("hello").status for _ in range(30)]
    assert answers.count(200) == 6
    assert set(answers) == {200, 429}
    objects = (worker.log.parent / "state" / "objects").rglob("*.sqlite")
    assert len([file for file in objects if file.stem != "metadata"]) == 3


def test_an_unreachable_origin_is_a_503_and_is_not_charged(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    # port 9 (discard) of an odd loopback address: nothing listens there
    worker = start_worker(
        policy=policy, has_kv=False, variables={"UPSTREAM": "http://127.93.7.11:9"}
    )
    for _ in range(2):
        answer = ask(worker)
        assert (answer.status, answer.code) == (503, "upstream_error")
        assert answer.headers["x-ratelimit-remaining-tokens"] == "1000000"
