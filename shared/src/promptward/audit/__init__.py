"""The audit trail: the event model and its encodings."""

from __future__ import annotations

from promptward.audit.encoders import ENCODERS
from promptward.audit.events import audit_event, coverage_summary, finding_json, shown_name

__all__ = ["ENCODERS", "audit_event", "coverage_summary", "finding_json", "shown_name"]
