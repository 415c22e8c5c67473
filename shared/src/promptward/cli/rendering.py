"""Decisions as JSON, for `check` and the conformance runner.

What is printed here includes bodies, because the caller gave them; it is never an audit event.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from promptward.audit import finding_json
from promptward.decision import Decision, Deny, Mutations
from promptward.engine import ResponseDecision
from promptward.exchange import Exchange, Response
from promptward.findings import Coverage


def decision_json(decision: Decision, exchange: Exchange) -> dict[str, Any]:
    """A request decision with the body that goes upstream."""
    if isinstance(decision, Deny):
        return deny_json(decision)
    return {
        "action": "allow",
        "status": 200,
        "error": None,
        "principal": {
            "id": decision.ticket.principal.id,
            "method": decision.ticket.principal.method,
            "claims": dict(decision.ticket.principal.claims),
        },
        **_mutations(decision.mutations, exchange.body.data),
        "response_headers": dict(decision.response_headers),
        "findings": [finding_json(f) for f in decision.findings],
        "coverage": coverage_json(decision.coverage),
        "reservations": [],
    }


def response_json(decision: ResponseDecision, response: Response) -> dict[str, Any]:
    """A response decision with the body that goes to the client."""
    if isinstance(decision, Deny):
        return deny_json(decision)
    usage = decision.usage
    return {
        "action": "allow",
        "status": response.status,
        "error": None,
        **_mutations(decision.mutations, response.body.data),
        "usage": None
        if usage is None
        else {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
        "findings": [finding_json(f) for f in decision.findings],
        "coverage": coverage_json(decision.coverage),
    }


def deny_json(decision: Deny) -> dict[str, Any]:
    """A denial of either side."""
    return {
        "action": "deny",
        "status": decision.status,
        "code": decision.code,
        "category": decision.category,
        "message": decision.message,
        "error": _parsed(decision.body),
        "error_body": decision.body.decode(),
        "headers": _multi(decision.headers),
        "findings": [finding_json(f) for f in decision.findings],
        "coverage": coverage_json(decision.coverage),
        "reservations": [],
    }


def coverage_json(coverage: Coverage) -> list[dict[str, Any]]:
    """Every entry of a coverage."""
    return [
        {
            "phase": entry.phase,
            "pointer": entry.pointer,
            "state": entry.state.value,
            "reason": entry.reason,
            "checks": list(entry.checks),
        }
        for entry in coverage
    ]


def _mutations(mutations: Mutations, received: bytes) -> dict[str, Any]:
    body = received if mutations.body is None else mutations.body
    return {
        "body": body.decode("utf-8", "replace"),
        "body_changed": mutations.body is not None,
        "set_headers": dict(mutations.set_headers),
        "remove_headers": list(mutations.remove_headers),
    }


def _multi(headers: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return dict(headers)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:  # a stream's error is not one JSON document
        return None
