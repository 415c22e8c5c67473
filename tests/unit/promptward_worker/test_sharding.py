"""Spreading a hot tenant."""

from __future__ import annotations

from collections import Counter

import pytest

from promptward_worker.sharding import shard_of, share


@pytest.mark.parametrize("limit", [0, 1, 7, 100, 10**15 + 3])
@pytest.mark.parametrize("shards", [1, 2, 7, 64])
def test_the_shares_add_up_to_the_limit(limit: int, shards: int) -> None:
    assert sum(share(limit, shard, shards) for shard in range(shards)) == limit


def test_a_request_always_goes_to_the_same_object_and_requests_spread_evenly() -> None:
    ids = [f"request-{i}" for i in range(8000)]
    assert [shard_of(i, 8) for i in ids] == [shard_of(i, 8) for i in ids]
    counts = Counter(shard_of(i, 8) for i in ids)
    assert set(counts) == set(range(8))
    assert max(counts.values()) < 1.2 * min(counts.values())


def test_a_tenant_that_is_not_hot_has_one_object() -> None:
    assert {shard_of(f"r{i}", 1) for i in range(100)} == {0}
