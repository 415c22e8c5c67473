"""The engine: runs the phases of one exchange, in order; the only orchestrator (see `api`)."""

from __future__ import annotations

from promptward.engine.api import (
    EngineApi,
    ResponseAllow,
    ResponseDecision,
    ResponsePlan,
    StreamEnd,
    StreamGuard,
)

__all__ = [
    "EngineApi",
    "ResponseAllow",
    "ResponseDecision",
    "ResponsePlan",
    "StreamEnd",
    "StreamGuard",
]
