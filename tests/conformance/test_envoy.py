"""The vectors through a real Envoy and the real service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from promptward.testing.conformance import Answer, Gateway, ScriptedUpstream, Step, Vector
from promptward.testing.conformance.live_gateway import AuditFile, read_ledger, send_over_http
from promptward_envoy.envoy_binary import find_envoy

pytestmark = pytest.mark.envoy


class EnvoyGateway:
    """`promptward-envoy quickstart` with the vectors' policy and the scripted upstream."""

    name = "envoy"

    def __init__(self, folder: Path, policy: str, upstream: ScriptedUpstream) -> None:
        (folder / "policy.json").write_text(policy, encoding="utf-8")
        self._ledger = f"sqlite://{folder}/ledger.db"
        host, port = upstream.address
        self._log = (folder / "quickstart.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "promptward_envoy", "quickstart", "--port", "0"]
            + ["--policy", str(folder / "policy.json"), "--ledger", self._ledger]
            + ["--upstream", f"http://{host}:{port}"],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        ready = self._wait_until_ready(folder)
        url = urlsplit(ready["url"])
        self._address = (str(url.hostname), url.port or 80)
        self._audit = AuditFile(Path(ready["audit_log"]))

    def _wait_until_ready(self, folder: Path) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("ready "):
                ready: dict[str, Any] = json.loads(line.removeprefix("ready "))
                return ready
        raise AssertionError((folder / "quickstart.log").read_text(encoding="utf-8"))

    def send(self, step: Step) -> Answer:
        self._audit.expect_one_more()
        return send_over_http(*self._address, step)

    def audit_events(self) -> Sequence[Mapping[str, Any]]:
        return self._audit.events()

    def ledger_entries(self) -> Sequence[Mapping[str, Any]]:
        return read_ledger(self._ledger)

    def close(self) -> None:
        """Stop everything that was started."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait(20)
        self._log.close()


@pytest.fixture(scope="module")
def envoy(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: ScriptedUpstream,
    policy_of: Callable[[str], str],
) -> Iterator[Callable[[str], EnvoyGateway]]:
    """Envoy under a policy, one per policy."""
    if find_envoy(os.environ, Path.cwd()) is None:
        reason = "no Envoy: run `make install`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    gateways: dict[str, EnvoyGateway] = {}

    def under(policy: str) -> EnvoyGateway:
        if policy not in gateways:
            folder = tmp_path_factory.mktemp(f"envoy-{policy}")
            gateways[policy] = EnvoyGateway(folder, policy_of(policy), upstream)
        return gateways[policy]

    yield under
    for gateway in gateways.values():
        gateway.close()


def test_vector_through_envoy(
    envoy: Callable[[str], EnvoyGateway], check: Callable[[Gateway, Vector], None], vector: Vector
) -> None:
    check(envoy(vector.policy), vector)
