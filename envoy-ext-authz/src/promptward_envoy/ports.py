"""The ports of this runtime: what an engine is given in an asyncio process behind Envoy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from promptward.engine import EngineApi
from promptward.exchange import JSON
from promptward.policy import CompiledPolicy
from promptward.ports import AuditSink, BudgetLedger
from promptward_ports.hosting import build_engine
from promptward_ports.jwks import AsyncJwksKeySource, JwksKeySource


class JsonLinesAudit:
    """Audit events as JSON lines; one write for each, so that workers may share a file."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Write one event. A full disk must not stop traffic that was decided already."""
        try:
            self._out.write(json.dumps(event, separators=(",", ":")) + "\n")
        except OSError:
            return


class NoAudit:
    """Discards events; for benchmarks and where another sink is configured."""

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Discard the event."""


def open_audit(target: str, stdout: TextIO) -> AuditSink:
    """The sink named `target`: `stdout`, `none`, or a file to append to."""
    if target == "none":
        return NoAudit()
    if target == "stdout":
        return JsonLinesAudit(stdout)
    # line buffered: one event, one write(2)
    return JsonLinesAudit(Path(target).open("a", buffering=1, encoding="utf-8"))


class EngineFactory:
    """Gives compiled policies their ports.

    Args:
        ledger: shared by all policies.
        audit: where events go.
    """

    def __init__(self, ledger: BudgetLedger, audit: AuditSink) -> None:
        self._ledger = ledger
        self._audit = audit

    def __call__(self, policy: CompiledPolicy) -> EngineApi:
        """An engine for `policy`; keys of issuers are fetched off the loop.

        Raises:
            PolicyError: the policy needs a port that is not there.
        """
        keys = AsyncJwksKeySource(JwksKeySource(policy.spec.identity.jwks_caches()))
        return build_engine(policy, self._ledger, self._audit, keys)
