"""The vectors on the core: the reference for every gateway."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from promptward.testing.conformance import (
    CoreGateway,
    Gateway,
    ScriptedUpstream,
    Vector,
    load_exceptions,
    load_vectors,
    play,
)

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def core(
    upstream: ScriptedUpstream, policy_of: Callable[[str], str]
) -> Iterator[Callable[[str], CoreGateway]]:
    """The core under a policy, one per policy."""
    gateways: dict[str, CoreGateway] = {}

    def under(policy: str) -> CoreGateway:
        if policy not in gateways:
            gateways[policy] = CoreGateway(policy_of(policy), upstream)
        return gateways[policy]

    yield under
    for gateway in gateways.values():
        gateway.close()


def test_vector_on_the_core(
    core: Callable[[str], CoreGateway], check: Callable[[Gateway, Vector], None], vector: Vector
) -> None:
    check(core(vector.policy), vector)


def test_there_are_enough_vectors_of_every_kind() -> None:
    files = {path.stem for path in (HERE / "vectors").glob("*.json")}
    assert {"authentication", "authorization", "budgets", "injection", "pii", "streams"} <= files
    assert len(load_vectors(HERE / "vectors")) >= 60


def test_every_exception_names_a_vector() -> None:
    ids = {v.id for v in load_vectors(HERE / "vectors")}
    for gateway in ("core", "envoy", "kong", "cloudflare"):
        for key in load_exceptions(HERE / "exceptions.toml", gateway):
            prefix = key.removesuffix("*")
            assert any(i == key or (key != prefix and i.startswith(prefix)) for i in ids), key


def test_record_golden(request: pytest.FixtureRequest, policy_of: Callable[[str], str]) -> None:
    """With --record-golden: write golden.json from a run of its own (review the diff!)."""
    if not request.config.getoption("--record-golden"):
        return
    vectors = load_vectors(HERE / "vectors")
    upstream = ScriptedUpstream(vectors, "127.0.79.2")
    recorded = {}
    for policy in sorted({v.policy for v in vectors}):
        gateway = CoreGateway(policy_of(policy), upstream)
        for vector in (v for v in vectors if v.policy == policy):
            recorded[vector.id] = [o.as_json() for o in play(gateway, vector, upstream)]
        gateway.close()
    upstream.close()
    text = json.dumps(recorded, indent=1, ensure_ascii=False, sort_keys=True)
    (HERE / "golden.json").write_text(text + "\n", encoding="utf-8")
