"""Prometheus metrics of one service process.

Invariants: label values come from closed sets or from the policy (filter, outcome, code, check),
never from a request, so the number of series is bounded. With several workers each process writes
into PROMETHEUS_MULTIPROC_DIR and the supervisor's admin port adds them up.
"""

from __future__ import annotations

import os
from collections import Counter as Counts
from collections.abc import Iterable, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from promptward.decision import Decision, Deny, PolicyRef
from promptward.findings import Finding
from promptward.llm import Usage

# Seconds; an exchange's own checks take 0.1 to 5 ms, a port's timeout is about 1 s.
_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0)

_DECISION_LABELS = ("filter", "outcome", "code")


class _Series(dict[tuple[str, ...], Counter]):
    """The series of a counter by their labels: finding one here takes a tenth of the time."""

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self._counter = counter

    def __missing__(self, labels: tuple[str, ...]) -> Counter:
        series = self[labels] = self._counter.labels(*labels)
        return series


class Metrics:
    """Everything this process counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._policies_shown: set[tuple[str, str, str]] = set()
        decisions = self._counter("decisions", "Request decisions.", _DECISION_LABELS)
        findings = self._counter("findings", "Findings by check.", ["check", "effect"])
        self._decisions, self._findings = _Series(decisions), _Series(findings)
        tokens = self._counter("tokens", "Tokens as upstreams reported them.", ["direction"])
        self._tokens = _Series(tokens)
        self.failures = self._counter(
            "failures",
            "Exchanges that failed closed through a fault of ours.",
            ["filter", "reason"],
        )
        self.audit_lost = self._counter("audit_lost", "Audit events that were not written.", ())
        self.reloads = self._counter("policy_reloads", "Policy reloads.", ["outcome"])
        self.seconds = Histogram(
            "promptward_message_seconds",
            "Time to answer one message of Envoy.",
            ["filter"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "promptward_exchanges_in_flight",
            "Open ext_proc streams and ext_authz calls.",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self.large = Gauge(
            "promptward_large_bodies",
            "Large bodies being read in the side thread, or waiting for it.",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self.policy = Gauge(
            "promptward_policy_info",
            "Policies in force.",
            ["name", "version", "sha256"],
            multiprocess_mode="livemax",
            registry=self._registry,
        )

    def _counter(self, name: str, what: str, labels: Sequence[str]) -> Counter:
        return Counter(f"promptward_{name}", what, labels, registry=self._registry)

    def count_decision(self, filter_name: str, decision: Decision) -> None:
        """Count a request decision and its findings."""
        if isinstance(decision, Deny):
            self._decisions[filter_name, "deny", decision.code].inc()
        else:
            self._decisions[filter_name, "allow", ""].inc()
        self.count_findings(decision.findings)

    def count_response(self, seen: object) -> None:
        """Count findings and usage of a response decision or of a finished stream guard.

        Guards need not tell what they saw (the interface does not ask for it); the engine's do.
        """
        findings, usage = getattr(seen, "findings", ()), getattr(seen, "usage", None)
        self.count_findings(findings)
        if isinstance(usage, Usage):
            self._tokens["input",].inc(usage.input_tokens)
            self._tokens["output",].inc(usage.output_tokens)

    def count_findings(self, findings: Iterable[Finding]) -> None:
        """Count findings by check and effect; a text with many has few kinds of them."""
        kinds = [(finding.check, finding.effect._value_) for finding in findings]
        for kind, count in Counts(kinds).items() if kinds else ():
            self._findings[kind].inc(count)

    def show_policies(self, refs: Iterable[PolicyRef]) -> None:
        """Show these policies as 1 and those before them as 0.

        A series cannot be taken back from the files that workers share, so it is not removed.
        """
        shown = {(ref.name, str(ref.version), ref.sha256) for ref in refs}
        for labels in self._policies_shown - shown:
            self.policy.labels(*labels).set(0)
        for labels in shown:
            self.policy.labels(*labels).set(1)
        self._policies_shown = shown

    def render(self) -> bytes:
        """Text exposition of this process, or of all workers when several share a directory."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        return render_workers()


def render_workers() -> bytes:
    """Text exposition of every worker that writes into PROMETHEUS_MULTIPROC_DIR."""
    merged = CollectorRegistry()
    multiprocess.MultiProcessCollector(merged)  # type: ignore[no-untyped-call]
    return generate_latest(merged)
