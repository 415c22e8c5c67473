"""Play vectors on a gateway and hold what happened against expectations and golden observations."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptward.testing.conformance.observation import Observation, observe, unmet
from promptward.testing.conformance.upstream import ScriptedUpstream
from promptward.testing.conformance.vectors import Gateway, Vector


def play(gateway: Gateway, vector: Vector, upstream: ScriptedUpstream) -> list[Observation]:
    """Every step of a vector, in order."""
    seen = []
    for step in vector.steps:
        before = len(upstream.received(step.name))  # of another gateway that played it
        answer = gateway.send(step)
        seen.append(observe(gateway, vector, answer, upstream.received(step.name)[before:]))
    return seen


def problems(
    vector: Vector, seen: Sequence[Observation], golden: Sequence[Mapping[str, Any]] | None
) -> list[str]:
    """What is not as it should be.

    Args:
        golden: the recorded observations, or None when there are none yet.
    """
    found = [
        f"{step.name}: {message}"
        for step, observation in zip(vector.steps, seen, strict=True)
        for message in unmet(observation, step.expect)
    ]
    if golden is None:
        return [*found, f"{vector.id}: no golden observation; run pytest --record-golden"]
    for step, observation, recorded in zip(vector.steps, seen, golden, strict=True):
        actual = observation.as_json()
        found += [
            f"{step.name}: {name} differs\n  golden: {recorded[name]!r}\n  actual: {actual[name]!r}"
            for name in recorded
            if recorded[name] != actual[name]
        ]
    return found


def load_exceptions(path: Path, gateway: str) -> dict[str, str]:
    """Vector id -> why `gateway` differs.

    Format of exceptions.toml: one table per gateway, `vector-id = "reason"`; an id may end in `*`.
    """
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    table = document.get(gateway, {})
    if not all(isinstance(reason, str) and reason for reason in table.values()):
        raise ValueError(f"{path}: every exception needs a reason")
    return dict(table)


def exception_for(exceptions: Mapping[str, str], vector: str) -> str | None:
    """The reason why `vector` may differ, or None."""
    if vector in exceptions:
        return exceptions[vector]
    return next(
        (why for key, why in exceptions.items() if key[-1:] == "*" and vector.startswith(key[:-1])),
        None,
    )
