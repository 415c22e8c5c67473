"""Conformance: one set of vectors, played on the core and through every real gateway.

A vector is one caller's steps: requests, what the upstream answers to each, and what must come of
it. `play` runs them on a `Gateway` and returns observations, which must equal the hand-written
expectations of the vector and the recorded golden observation, byte for byte, on every gateway.

Adding a gateway: implement `Gateway` (start it under a policy, send a request, read its audit file
and ledger) and list it in tests/conformance.
"""

from __future__ import annotations

from promptward.testing.conformance.core_gateway import CoreGateway
from promptward.testing.conformance.observation import Observation, observe, unmet
from promptward.testing.conformance.playing import (
    exception_for,
    load_exceptions,
    play,
    problems,
)
from promptward.testing.conformance.upstream import ScriptedUpstream
from promptward.testing.conformance.vectors import (
    Answer,
    Gateway,
    Step,
    Vector,
    load_vectors,
    policy_text,
)

__all__ = [
    "Answer",
    "CoreGateway",
    "Gateway",
    "Observation",
    "ScriptedUpstream",
    "Step",
    "Vector",
    "exception_for",
    "load_exceptions",
    "load_vectors",
    "observe",
    "play",
    "policy_text",
    "problems",
    "unmet",
]
