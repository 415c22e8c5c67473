"""The vectors through the Worker on a real workerd."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from promptward.policy import lint, load_policy
from promptward.testing.conformance import (
    Gateway,
    ScriptedUpstream,
    Vector,
    exception_for,
    load_exceptions,
)
from promptward_worker.capabilities import CLOUDFLARE
from promptward_workerd.testing.conformance import WorkerGateway, snapshot_of
from promptward_workerd.toolchain import ToolchainError

pytestmark = pytest.mark.workerd


@pytest.fixture(scope="module")
def worker(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: ScriptedUpstream,
    policy_of: Callable[[str], str],
) -> Iterator[Callable[[str], WorkerGateway]]:
    """The Worker under a policy, one per policy."""
    try:
        snapshot = snapshot_of(tmp_path_factory.mktemp("worker-snapshot"))
    except ToolchainError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    gateways: dict[str, WorkerGateway] = {}

    def under(policy: str) -> WorkerGateway:
        if policy not in gateways:
            folder = tmp_path_factory.mktemp(f"worker-{policy}")
            gateways[policy] = WorkerGateway(policy_of(policy), upstream, folder, snapshot)
        return gateways[policy]

    yield under
    for gateway in gateways.values():
        gateway.close()


def test_vector_through_the_worker(
    worker: Callable[[str], WorkerGateway],
    check: Callable[[Gateway, Vector], None],
    policy_of: Callable[[str], str],
    upstream: ScriptedUpstream,
    vector: Vector,
) -> None:
    if not lint(load_policy(policy_of(vector.policy)).model, CLOUDFLARE):
        check(worker(vector.policy), vector)
        return
    # what it cannot enforce it does not serve at all, and exceptions.toml says so
    listed = load_exceptions(Path(__file__).parent / "exceptions.toml", "cloudflare")
    assert exception_for(listed, vector.id)
    before = len(upstream.received(vector.steps[0].name))  # of another gateway that played it
    assert worker(vector.policy).send(vector.steps[0]).status == 503
    assert len(upstream.received(vector.steps[0].name)) == before
