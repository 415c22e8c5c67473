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
from promptward.engine.core import Engine
from promptward.engine.ports import Ports

__all__ = [
    "Engine",
    "EngineApi",
    "Ports",
    "ResponseAllow",
    "ResponseDecision",
    "ResponsePlan",
    "StreamEnd",
    "StreamGuard",
]
