"""Audit events: one when a request is decided, one when its response has ended.

Invariants: an event never holds prompt text, credentials or matched personal data. Names that a
client chose (the model) are recorded only when they look like names; everything else in an event
is ours, the operator's, or a number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from promptward.auth.claims import find, parse_path
from promptward.decision import PolicyRef, Principal
from promptward.exchange import JSON
from promptward.findings import Coverage, CoverageState, Finding
from promptward.llm import Usage
from promptward.ports import LineState

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}", re.ASCII)
_MAX_LISTED = 64  # findings and unread parts per event; counts stay exact


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """What one event says.

    Attributes:
        phase: `request` or `response`.
        time_s: Unix time in seconds.
        action: `allow`, `redact` or `deny`.
        status: HTTP status given to the client, 0 when the upstream decides it.
        code: stable code of a denial or of how a response ended.
        claims: paths of the principal's claims to record.
        budgets: states after reserving or settling.
        stream_end: how a stream ended, empty for others.
        prices: version of the bundled price table, when the policy names one.
        cost_nano_usd: what the usage costs at the policy's prices, when they have the model.
        body_hmac: keyed digest of the body as received, when the policy asks for it.
    """

    phase: str
    time_s: float
    request_id: str
    policy: PolicyRef
    action: str
    status: int = 0
    code: str = ""
    principal: Principal | None = None
    claims: Sequence[str] = ()
    protocol: str = ""
    model: str = ""
    route: str = ""
    findings: Sequence[Finding] = ()
    coverage: Coverage = ()
    usage: Usage | None = None
    budgets: Sequence[LineState] = field(default=())
    stream_end: str = ""
    prices: str = ""
    cost_nano_usd: int | None = None
    body_hmac: str = ""


def event_of(record: AuditRecord) -> dict[str, JSON]:
    """The neutral event; encoders for SIEM schemas start from it."""
    return {
        "schema": "promptward.audit/v1",
        "time": round(record.time_s, 3),
        "phase": record.phase,
        "request_id": record.request_id,
        "policy": {
            "name": record.policy.name,
            "version": record.policy.version,
            "sha256": record.policy.sha256,
        },
        "action": record.action,
        "status": record.status,
        "code": record.code,
        "principal": _principal(record),
        "protocol": record.protocol,
        "model": _name(record.model),
        "route": _name(record.route),
        "findings": [finding_json(f) for f in record.findings[:_MAX_LISTED]],
        "finding_count": len(record.findings),
        "coverage": coverage_summary(record.coverage),
        "usage": _usage(record.usage),
        "budgets": [_state(s) for s in record.budgets],
        "stream_end": record.stream_end,
        **({"prices": record.prices} if record.prices else {}),
        **({} if record.cost_nano_usd is None else {"cost_nano_usd": record.cost_nano_usd}),
        **({"body_hmac": record.body_hmac} if record.body_hmac else {}),
    }


def _principal(record: AuditRecord) -> JSON:
    principal = record.principal
    if principal is None:
        return None
    out: dict[str, JSON] = {"id": principal.id, "method": principal.method}
    if record.claims:
        out["claims"] = {path: find(principal.claims, parse_path(path)) for path in record.claims}
    return out


def finding_json(finding: Finding) -> dict[str, JSON]:
    """A finding as plain JSON."""
    out: dict[str, JSON] = {
        "check": finding.check,
        "rule": finding.rule,
        "category": finding.category,
        "severity": finding.severity.value,
        "score": finding.score,
        "effect": finding.effect.value,
        "taxonomy": list(finding.taxonomy),
    }
    if finding.span is not None:
        out["pointer"] = finding.span.pointer
        out["start"] = finding.span.start
        out["end"] = finding.span.end
    return out


def coverage_summary(coverage: Coverage) -> dict[str, JSON]:
    """Counts by state, and the parts nobody read."""
    unread = [entry for entry in coverage if entry.state is not CoverageState.INSPECTED]
    skipped = sum(entry.state is CoverageState.SKIPPED for entry in unread)
    return {
        "inspected": len(coverage) - len(unread),
        "skipped": skipped,
        "uninspectable": len(unread) - skipped,
        "unread": [
            {"pointer": entry.pointer, "state": entry.state.value, "reason": entry.reason}
            for entry in unread[:_MAX_LISTED]
        ],
    }


def _name(value: str) -> str:
    return value if not value or _NAME.fullmatch(value) else "(not a name)"


def _usage(usage: Usage | None) -> JSON:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


def _state(state: LineState) -> dict[str, JSON]:
    return {
        "budget": state.budget,
        "unit": state.unit,
        "limit": state.limit,
        "spent": state.spent,
        "reserved": state.reserved,
    }
