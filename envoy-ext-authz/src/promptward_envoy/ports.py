"""The ports of this runtime: what an engine is given in an asyncio process behind Envoy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from promptward.engine import EngineApi
from promptward.exchange import JSON
from promptward.policy import CompiledPolicy
from promptward.ports import AuditSink, BudgetLedger
from promptward_ports.audit_sinks import JsonLinesSink
from promptward_ports.classifiers import open_classifier
from promptward_ports.hosting import build_engine, open_keys


class NoAudit:
    """Discards events; for benchmarks."""

    dropped = failed = 0

    def emit(self, event: Mapping[str, JSON]) -> None:
        """Discard the event."""

    def close(self) -> None:
        """Nothing is open."""


def open_audit(target: str) -> JsonLinesSink | NoAudit:
    """The sink named `target`: `stdout`, `none`, or a file to append to.

    Raises:
        OSError: the file cannot be opened.
    """
    if target == "none":
        return NoAudit()
    return JsonLinesSink(None if target == "stdout" else Path(target))


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
        """An engine for `policy`; key servers and classifiers are asked off the loop.

        Raises:
            PolicyError: the policy needs a port that is not there.
        """
        keys = open_keys(policy, suspending=True)
        classifier = open_classifier(policy.classifier_queries, suspending=True)
        return build_engine(policy, self._ledger, self._audit, keys, classifier)
