"""Audit events: one when a request is decided, one when its response has ended.

Invariants: an event never holds prompt text, credentials or matched personal data. Names that a
client chose (the model) are recorded only when they look like names; everything else in an event
is ours, the operator's, or a number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from promptward.auth.claims import find, parse_path
from promptward.decision import PolicyRef, Principal
from promptward.exchange import JSON
from promptward.findings import Coverage, CoverageState, Finding
from promptward.llm import Usage
from promptward.ports import LineState

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}", re.ASCII)
_MAX_LISTED = 64  # findings and unread parts per event; counts stay exact


def audit_event(
    *,
    phase: str,
    time_s: float,
    request_id: str,
    policy: PolicyRef,
    action: str,
    status: int = 0,
    code: str = "",
    principal: Principal | None = None,
    claims: Sequence[str] = (),
    protocol: str = "",
    model: str = "",
    route: str = "",
    findings: Sequence[Finding] = (),
    coverage: Coverage = (),
    usage: Usage | None = None,
    budgets: Sequence[LineState] = (),
    stream_end: str = "",
    prices: str = "",
    cost_nano_usd: int | None = None,
    body_hmac: str = "",
) -> dict[str, JSON]:
    """The neutral event; encoders for SIEM schemas start from it.

    Args:
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
    event: dict[str, JSON] = {
        "schema": "promptward.audit/v1",
        "time": round(time_s, 3),
        "phase": phase,
        "request_id": request_id,
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.sha256},
        "action": action,
        "status": status,
        "code": code,
        "principal": None if principal is None else _principal(principal, claims),
        "protocol": protocol,
        "model": shown_name(model),
        "route": shown_name(route),
        "findings": [finding_json(f) for f in findings[:_MAX_LISTED]],
        "finding_count": len(findings),
        "coverage": coverage_summary(coverage),
        "usage": None if usage is None else _usage(usage),
        "budgets": [_state(s) for s in budgets],
        "stream_end": stream_end,
    }
    if prices:
        event["prices"] = prices
    if cost_nano_usd is not None:
        event["cost_nano_usd"] = cost_nano_usd
    if body_hmac:
        event["body_hmac"] = body_hmac
    return event


def _principal(principal: Principal, claims: Sequence[str]) -> dict[str, JSON]:
    out: dict[str, JSON] = {"id": principal.id, "method": principal.method}
    if claims:
        out["claims"] = {path: find(principal.claims, parse_path(path)) for path in claims}
    return out


def finding_json(finding: Finding) -> dict[str, JSON]:
    """A finding as plain JSON."""
    out: dict[str, JSON] = {
        "check": finding.check,
        "rule": finding.rule,
        "category": finding.category,
        "severity": finding.severity._value_,  # `value` is a property, ten times as slow
        "score": finding.score,
        "effect": finding.effect._value_,
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
    skipped = len([entry for entry in unread if entry.state is CoverageState.SKIPPED])
    return {
        "inspected": len(coverage) - len(unread),
        "skipped": skipped,
        "uninspectable": len(unread) - skipped,
        "unread": [
            {"pointer": entry.pointer, "state": entry.state.value, "reason": entry.reason}
            for entry in unread[:_MAX_LISTED]
        ],
    }


def shown_name(value: str) -> str:
    """A name that a client or a gateway gave, unless it may be a text."""
    return value if not value or _NAME.fullmatch(value) else "(not a name)"


def _usage(usage: Usage) -> dict[str, JSON]:
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
