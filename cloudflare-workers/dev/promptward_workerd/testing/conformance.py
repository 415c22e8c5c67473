"""The Worker on a real workerd as a gateway for the conformance vectors."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from promptward.ledger import wire
from promptward.testing.conformance import Answer, ScriptedUpstream, Step
from promptward.testing.conformance.live_gateway import AuditFile, send_over_http
from promptward_workerd import config, toolchain, vendor
from promptward_workerd.process import Workerd, make_snapshot

ENTRY = Path(__file__).parent / "conformance_entry.py"
_TIMEOUT_S = 30.0


class _AuditLog(AuditFile):
    """The audit events among the lines of the Worker's log."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._log = path

    def _read(self) -> list[dict[str, Any]]:
        lines = self._log.read_text(encoding="utf-8").split("\n")[:-1]
        events = [json.loads(line) for line in lines if line.startswith('{"event":"audit"')]
        for event in events:
            del event["event"]
        return events


class WorkerGateway:
    """Implements `Gateway` of promptward.testing.conformance.

    Args:
        policy: text of the policy, put into KV.
        upstream: behind the Worker.
        folder: for the Worker's files, state and log.
        snapshot: memory snapshot of a Worker of this kind (see `snapshot_of`), or None.
    """

    name = "cloudflare"

    def __init__(
        self,
        policy: str,
        upstream: ScriptedUpstream,
        folder: Path,
        snapshot: Path | None = None,
    ) -> None:
        host, port = upstream.address
        tools = toolchain.ensure()
        file = _write_worker(tools, folder, {"UPSTREAM": f"http://{host}:{port}"}, policy)
        log = folder / "workerd.log"
        self._workerd = Workerd(tools, file, log, snapshot=snapshot)
        self._audit = _AuditLog(log)

    def send(self, step: Step) -> Answer:
        self._audit.expect_one_more()
        return send_over_http(self._workerd.host, self._workerd.port, step)

    def audit_events(self) -> Sequence[Mapping[str, Any]]:
        return self._audit.events()

    def ledger_entries(self) -> Sequence[Mapping[str, Any]]:
        connection = http.client.HTTPConnection(
            self._workerd.host, self._workerd.port, timeout=_TIMEOUT_S
        )
        try:
            connection.request("GET", "/.test/entries?tenant=")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        return [asdict(entry) for entry in wire.entries(text)]

    def close(self) -> None:
        """Stop workerd."""
        self._workerd.stop()


def snapshot_of(folder: Path) -> Path:
    """A memory snapshot of the Worker that `WorkerGateway` runs; makes the second start fast."""
    tools = toolchain.ensure()
    file = _write_worker(tools, folder, {"UPSTREAM": "http://127.0.0.1:9"}, "")
    return make_snapshot(tools, file, folder)


def _write_worker(
    tools: toolchain.Toolchain, folder: Path, variables: dict[str, str], policy: str
) -> Path:
    files = vendor.collect(toolchain.PROJECT / "src", tools.site, entry=ENTRY)
    vendor.write(files, folder)
    names = tuple(file.name for file in files)
    settings = config.WorkerConfig(folder, names, folder / "state", variables)
    file = config.write(settings)
    (settings.kv_dir / "policy").write_text(policy, "utf-8")
    return file
