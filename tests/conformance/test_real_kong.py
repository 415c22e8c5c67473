"""The vectors on a real Kong: set KONG_ADMIN_URL, KONG_PROXY_URL and KONG_AUDIT_FILE.

See promptward_kong.testing.real_kong. The ledger is a file that Kong's plugin server writes and
this process reads, so both run on one host.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from promptward.testing.conformance import Gateway, ScriptedUpstream, Vector
from promptward_kong.testing.real_kong import KongAddress, RealKongGateway

ADDRESS = KongAddress.from_environment()
if ADDRESS is None or "KONG_AUDIT_FILE" not in os.environ:
    pytest.skip(
        "KONG_ADMIN_URL, KONG_PROXY_URL and KONG_AUDIT_FILE are not given", allow_module_level=True
    )


@pytest.fixture(scope="module")
def real_kong(
    upstream: ScriptedUpstream, policy_of: Callable[[str], str]
) -> Iterator[Callable[[str], RealKongGateway]]:
    """A real Kong with a route per policy."""
    assert ADDRESS is not None
    gateways: dict[str, RealKongGateway] = {}
    with tempfile.TemporaryDirectory(prefix="pwr") as directory:
        Path(directory).chmod(0o777)  # Kong's user writes the ledger

        def under(policy: str) -> RealKongGateway:
            if policy not in gateways:
                place = Path(directory) / policy
                place.mkdir()
                place.chmod(0o777)
                gateways[policy] = RealKongGateway(ADDRESS, policy_of(policy), upstream, place)
            return gateways[policy]

        yield under
        for gateway in gateways.values():
            gateway.close()


def test_vector_on_a_real_kong(
    real_kong: Callable[[str], RealKongGateway],
    check: Callable[[Gateway, Vector], None],
    vector: Vector,
) -> None:
    check(real_kong(vector.policy), vector)
