"""The conformance suite's transport to Kong: the real plugin server, or a real Kong.

`KongGateway` drives the server process with `Node`. A policy that inspects streams as they pass
cannot run on Kong (`promptward lint --gateway kong` says so); the vectors run with
`streaming.mode: buffer`, which must give the same bytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from promptward.sync import run_sync
from promptward.testing.conformance import ScriptedUpstream, Step
from promptward.testing.conformance.upstream import Received
from promptward.testing.conformance.vectors import STEP_HEADER
from promptward.testing.conformance.vectors import Answer as VectorAnswer
from promptward_kong.testing.node import ClientRequest, Gate, Node, PluginConfig
from promptward_kong.testing.pdk import HeaderList, RequestState
from promptward_kong.testing.process import ServerProcess
from promptward_kong.testing.rpc import RpcClient
from promptward_ports.ledgers import open_ledger

_PHASES = ("access", "response", "log")


def buffered_policy(text: str) -> str:
    """`text` with `streaming.mode: buffer`."""
    document = json.loads(text)
    document["spec"].setdefault("streaming", {})["mode"] = "buffer"
    return json.dumps(document)


def latin(value: str | bytes) -> str:
    """A header value as the other gateways show it."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


class KongGateway:
    """Implements `promptward.testing.conformance.Gateway` over the plugin server.

    Args:
        directory: for the socket, the ledger and the audit file; a short path.
    """

    name = "kong"

    def __init__(
        self,
        policy_text: str,
        upstream: ScriptedUpstream,
        directory: Path,
        gate: Gate | None = None,
    ) -> None:
        self._upstream = upstream
        self._audit = directory / "audit.jsonl"
        self._audit.touch()
        ledger_url = f"sqlite://{directory}/ledger.db"
        path = directory / "kong.sock"
        self._server = ServerProcess(
            [
                *(sys.executable, "-m", "promptward_kong", "serve", "--socket", str(path)),
                *("--ledger", ledger_url, "--audit", str(self._audit), "--workers", "2"),
            ],
            path,
        )
        self._server.start()
        self._ledger = open_ledger(ledger_url, timeout_s=5.0)
        self._client = RpcClient(str(path))
        config = {"policy": buffered_policy(policy_text)}
        plugin = PluginConfig("promptward-buffered", config, _PHASES)
        self._node = Node(self._client, plugin, self._answer, gate)

    def send(self, step: Step) -> VectorAnswer:
        """See `Gateway`."""
        headers: list[tuple[str, str | bytes]] = [
            (name, value.encode("latin-1")) for name, value in step.headers
        ]
        if step.body:
            headers.append(("content-length", str(len(step.body))))
        answer = self._node.handle(ClientRequest(step.method, step.path, tuple(headers), step.body))
        if answer.unchecked:
            raise AssertionError(f"{step.name}: {answer.unchecked} was not checked: {answer.log}")
        pairs = tuple((name.lower(), latin(value)) for name, value in answer.headers)
        return VectorAnswer(answer.status, pairs, answer.body)

    def audit_events(self) -> Sequence[Mapping[str, Any]]:
        """See `Gateway`."""
        return [json.loads(line) for line in self._audit.read_text("utf-8").splitlines()]

    def ledger_entries(self) -> Sequence[Mapping[str, Any]]:
        """See `Gateway`."""
        return [asdict(entry) for entry in run_sync(self._ledger.entries())]

    def close(self) -> None:
        """Stop the server."""
        self._client.close()
        run_sync(self._ledger.close())
        self._server.stop()

    def _answer(self, state: RequestState) -> tuple[int, HeaderList, bytes]:
        sent = tuple((name.lower(), latin(value)) for name, value in state.headers)
        received = Received(state.method, state.target, sent, state.body)
        scripted, data = self._upstream.answer(dict(sent)[STEP_HEADER], received)
        return scripted.upstream.status, list(scripted.upstream.headers), data
