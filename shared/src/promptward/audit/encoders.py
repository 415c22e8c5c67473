"""Audit events in the schemas SIEMs read: OCSF 1.3 (API Activity, 6003) and ECS 8.

Both carry the whole neutral event too (`unmapped` in OCSF, `promptward` in ECS), so nothing is
lost in the mapping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from promptward import __version__
from promptward.exchange import JSON

Event = Mapping[str, JSON]

# OCSF severity_id; the highest of the event's findings counts
_SEVERITY = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
_OCSF_CLASS, _OCSF_CATEGORY, _OCSF_ACTIVITY_OTHER = 6003, 6, 99
_PRODUCT: dict[str, JSON] = {"name": "Promptward", "vendor_name": "Promptward"}


def as_ocsf(event: Event) -> dict[str, JSON]:
    """OCSF 1.3.0, class API Activity."""
    denied = event["action"] == "deny"
    severity = _severity(event)
    return {
        "metadata": {
            "version": "1.3.0",
            "product": {**_PRODUCT, "version": __version__},
            "uid": event["request_id"],
            "profiles": ["security_control"],
        },
        "class_uid": _OCSF_CLASS,
        "class_name": "API Activity",
        "category_uid": _OCSF_CATEGORY,
        "category_name": "Application Activity",
        "activity_id": _OCSF_ACTIVITY_OTHER,
        "activity_name": f"llm_{event['phase']}",
        "type_uid": _OCSF_CLASS * 100 + _OCSF_ACTIVITY_OTHER,
        "time": _milliseconds(event),
        "severity_id": severity,
        "severity": {v: k for k, v in _SEVERITY.items()}[severity].capitalize(),
        "status_id": 2 if denied else 1,
        "status": "Failure" if denied else "Success",
        "status_code": event["code"],
        "action_id": 2 if denied else 1,
        "action": "Denied" if denied else "Allowed",
        "disposition_id": 2 if denied else 1,
        "disposition": "Blocked" if denied else "Allowed",
        "actor": {"user": {"uid": _principal(event)}},
        "api": {
            "operation": event["protocol"] or "unknown",
            "request": {"uid": event["request_id"]},
        },
        "unmapped": dict(event),
    }


def as_ecs(event: Event) -> dict[str, JSON]:
    """Elastic Common Schema 8.17."""
    denied = event["action"] == "deny"
    policy = event["policy"]
    assert isinstance(policy, dict)
    return {
        "@timestamp": datetime.fromtimestamp(_milliseconds(event) / 1000, UTC).isoformat(),
        "ecs": {"version": "8.17.0"},
        "event": {
            "kind": "alert" if denied else "event",
            "category": ["api", "intrusion_detection"] if denied else ["api"],
            "type": ["denied"] if denied else ["allowed"],
            "outcome": "failure" if denied else "success",
            "action": f"llm_{event['phase']}",
            "code": event["code"],
            "severity": _severity(event),
            "provider": "promptward",
        },
        "http": {"request": {"id": event["request_id"]}},
        "user": {"id": _principal(event)},
        "rule": {"ruleset": policy["name"], "version": str(policy["version"])},
        "promptward": dict(event),
    }


def as_json(event: Event) -> Event:
    """The neutral event itself."""
    return event


ENCODERS: Mapping[str, Callable[[Event], Event]] = {
    "json": as_json,
    "ocsf": as_ocsf,
    "ecs": as_ecs,
}


def _milliseconds(event: Event) -> int:
    time = event["time"]
    assert isinstance(time, int | float)
    return round(time * 1000)


def _principal(event: Event) -> str:
    principal = event["principal"]
    return str(principal["id"]) if isinstance(principal, dict) else ""


def _severity(event: Event) -> int:
    findings = event["findings"]
    assert isinstance(findings, list)
    levels = [_SEVERITY[str(f["severity"])] for f in findings if isinstance(f, dict)]
    return max(levels, default=1)
