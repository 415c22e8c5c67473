"""One engine under the default name."""

from __future__ import annotations

import pytest

from promptward_envoy.engines import FixedEngine, UnknownPolicyError


def test_only_the_empty_name_is_known(engine) -> None:
    source = FixedEngine(engine, ext_authz_alone=False)
    assert source.policy("").engine is engine
    assert not source.policy("").ext_authz_alone
    with pytest.raises(UnknownPolicyError):
        source.policy("other")
