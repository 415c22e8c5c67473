"""The service process itself: real policies, admin port, reload, workers, signals."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from promptward.cli.demo import KEYS
from promptward_envoy import child_process
from promptward_envoy.bootstrap import Bootstrap
from promptward_envoy.envoy_process import start_envoy, wait_until_live
from promptward_envoy.testing.service import TOKEN, Service, serving
from promptward_envoy.testing.stack import HOST, Stack, free_port, wait_for

pytestmark = pytest.mark.envoy
ALLOWED = 'promptward_decisions_total{code="",filter="ext_proc",outcome="allow"}'


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service")) as made:
        yield made


def set_version(version: int) -> Any:
    def change(document: dict[str, Any]) -> None:
        document["metadata"]["version"] = version

    return change


def break_it(document: dict[str, Any]) -> None:
    document["spec"]["chekcs"] = []


def test_health_readiness_and_metrics_need_no_token(service) -> None:
    assert service.ask("/healthz", token="") == (200, {"alive": True})
    assert service.ask("/readyz", token="") == (200, {"ready": True, "reload_failed": False})
    status, text = service.ask("/metrics", token="")
    assert status == 200
    assert "promptward_policy_info{" in text


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN.upper()])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/policy"), ("GET", "/budgets"), ("POST", "/policy/reload")]
)
def test_everything_else_does(service, token, method, path) -> None:
    assert service.ask(path, method, token=token)[0] == 401


def test_policy_shows_name_version_and_hash(service) -> None:
    status, body = service.ask("/policy")
    assert status == 200
    digest = hashlib.sha256(service.policy.read_bytes()).hexdigest()
    assert body["policies"][0] == {"name": "demo", "version": 1, "sha256": digest}


def test_grpc_health_and_reflection(service) -> None:
    with grpc.insecure_channel(service.address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        for name in ("", "envoy.service.auth.v3.Authorization"):
            answer = check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflected = ProtoReflectionDescriptorDatabase(channel)
        assert "envoy.service.ext_proc.v3.ExternalProcessor" in reflected.get_services()
        file = reflected.FindFileContainingSymbol("envoy.service.auth.v3.Authorization")
        assert [s.name for s in file.service] == ["Authorization"]


def test_reload_by_endpoint_signal_and_watch_keeps_the_old_policy_on_error(tmp_path) -> None:
    with serving(tmp_path, "--watch", "0.1") as service:

        def version() -> int:
            return service.ask("/policy")[1]["policies"][0]["version"]

        service.edit(set_version(2))
        wait_for("the watch", lambda: version() == 2)
        service.edit(break_it)
        problems = wait_for("the problems", lambda: service.ask("/policy")[1]["problems"])
        assert "chekcs" in problems[0]
        assert version() == 2
        assert service.ask("/readyz") == (200, {"ready": True, "reload_failed": True})
        status, body = service.ask("/policy/reload", "POST")
        assert (status, body["reloaded"]) == (422, False)
        assert 'promptward_policy_reloads_total{outcome="error"}' in service.ask("/metrics")[1]
        service.edit(lambda d: (d["spec"].pop("chekcs"), set_version(3)(d)))
        wait_for("the repaired policy", lambda: version() == 3)
        assert service.ask("/policy")[1]["problems"] == []


def test_reload_by_sighup_and_endpoint(tmp_path) -> None:
    with serving(tmp_path) as service:
        service.edit(set_version(2))
        assert service.ask("/policy/reload", "POST") == (200, {"reloaded": True, "problems": []})
        assert service.ask("/policy")[1]["policies"][0]["version"] == 2
        service.edit(set_version(3))
        service.process.send_signal(signal.SIGHUP)
        wait_for("SIGHUP", lambda: service.ask("/policy")[1]["policies"][0]["version"] == 3)


def test_policy_that_envoy_cannot_enforce_is_refused(tmp_path) -> None:
    service = Service(tmp_path)
    child_process.stop([service.process], 15)
    service.edit(lambda d: d["spec"].update(limits={"max_body_bytes": 32 << 20}))
    again = Service(tmp_path)
    assert again.process.wait(20) == 2
    assert "max_body_bytes" in again.log.read_text()


def test_admin_port_elsewhere_than_on_loopback_needs_a_token(tmp_path) -> None:
    service = Service(tmp_path, "--admin", "0.0.0.0:0", token="")
    assert service.process.wait(20) == 1
    assert "needs a token" in service.log.read_text()


def test_sigterm_ends_with_zero(tmp_path) -> None:
    with serving(tmp_path) as service:
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) == 0


def test_workers_share_ledger_reload_and_metrics(tmp_path, envoy_binary, upstream) -> None:
    with serving(tmp_path, "--workers", "2") as service:
        addresses = [service.address, service.address + ".1"]
        settings = Bootstrap(
            (HOST, free_port()), addresses, upstream.origin, f"{tmp_path}/admin.sock"
        )
        envoy = start_envoy(envoy_binary, tmp_path, settings)
        try:
            wait_until_live(envoy, tmp_path, settings.admin_socket, 10)
            stack = Stack(tmp_path, settings.listen[1], envoy, upstream, [service.process])
            tiny = {"authorization": f"Bearer {KEYS['tiny']}"}
            full = {"authorization": f"Bearer {KEYS['full']}"}
            body = json.dumps(
                {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
            )
            statuses = [stack.request(body.encode(), headers=tiny).status for _ in range(4)]
            assert statuses == [200, 429, 429, 429]
            for _ in range(8):
                assert stack.request(body.encode(), headers=full).status == 200
            text = service.ask("/metrics")[1]
            counted = [line for line in text.splitlines() if line.startswith(ALLOWED)]
            assert [float(line.split()[-1]) for line in counted] == [9.0]
            rows = service.ask("/budgets?budget=calls-per-hour")[1]["budgets"]
            assert sorted(row["spent"] for row in rows) == [1, 8]
            service.edit(set_version(7))
            assert service.ask("/policy/reload", "POST")[0] == 200
            workers = service.ask("/policy")[1]["workers"]
            assert [w["policies"][0]["version"] for w in workers] == [7, 7]
            os.kill(workers[1]["pid"], signal.SIGKILL)
            old = workers[1]["pid"]
            wait_for("the readiness to drop", lambda: service.ask("/readyz")[0] == 503)
            wait_for("the restart", lambda: service.ask("/readyz")[0] == 200)
            assert service.ask("/policy")[1]["workers"][1]["pid"] != old
        finally:
            child_process.stop([envoy], 5)
    assert sqlite3.connect(tmp_path / "ledger.db").execute("PRAGMA integrity_check").fetchone()


def test_workers_end_with_their_supervisor(tmp_path) -> None:
    with serving(tmp_path, "--workers", "2") as service:
        pids = [w["pid"] for w in service.ask("/policy")[1]["workers"]]
        service.process.kill()
        service.process.wait()
        wait_for("the workers to end", lambda: not any(Path(f"/proc/{p}").exists() for p in pids))


def test_memory_ledger_is_refused_with_workers(tmp_path) -> None:
    service = Service(tmp_path, "--workers", "2", "--ledger", "memory://")
    assert service.process.wait(20) == 2
    assert "not shared between workers" in service.log.read_text()
