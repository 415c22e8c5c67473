"""The audit trail: the event model and its encodings."""

from __future__ import annotations

from promptward.audit.encoders import ENCODERS
from promptward.audit.events import AuditRecord, coverage_summary, event_of, finding_json

__all__ = ["ENCODERS", "AuditRecord", "coverage_summary", "event_of", "finding_json"]
