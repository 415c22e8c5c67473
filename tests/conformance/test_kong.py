"""The vectors on Kong's plugin server, driven as Kong drives it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from promptward.testing.conformance import Gateway, ScriptedUpstream, Vector
from promptward_kong.testing.conformance import KongGateway


@pytest.fixture(scope="module")
def kong(
    upstream: ScriptedUpstream, policy_of: Callable[[str], str]
) -> Iterator[Callable[[str], KongGateway]]:
    """The plugin server under a policy, one per policy."""
    gateways: dict[str, KongGateway] = {}
    # /tmp: a Unix socket's path has 107 characters at most
    with tempfile.TemporaryDirectory(prefix="pwc") as directory:

        def under(policy: str) -> KongGateway:
            if policy not in gateways:
                place = Path(directory) / policy
                place.mkdir()
                gateways[policy] = KongGateway(policy_of(policy), upstream, place)
            return gateways[policy]

        yield under
        for gateway in gateways.values():
            gateway.close()


def test_vector_on_kong(
    kong: Callable[[str], KongGateway], check: Callable[[Gateway, Vector], None], vector: Vector
) -> None:
    check(kong(vector.policy), vector)
