"""Calls of the scripts: what they show of a request, and what they do not."""

from __future__ import annotations

import hashlib
import struct

import pytest

from promptward.errors import PortError
from promptward.ports import ReserveRequest, SettleRequest
from promptward.testing.ledgers import budget_line
from promptward_ports.ledgers.redis_protocol import SCRIPTS, BoundsNeeded, Call, RedisProtocol

NOW_US = 1_750_000_000_000_000
LINES = (budget_line("user", partition="claim.email=ann@example.com"), budget_line("team"))
REQUEST = ReserveRequest("r1", "acme", LINES, 60)


def reserve_call() -> Call:
    return RedisProtocol("gate").reserve(REQUEST, NOW_US, None, {})


def test_redis_knows_a_script_by_its_sha1() -> None:
    for script in SCRIPTS.values():
        assert script.sha == hashlib.sha1(script.source.encode()).hexdigest()


def test_keys_hold_digests_under_one_hash_tag() -> None:
    keys = reserve_call().keys
    assert keys == RedisProtocol("gate").settle(SettleRequest("r1", "acme", {}), None).keys
    tags = {key[key.index("{") : key.index("}") + 1] for key in keys}
    assert len(tags) == 1
    for key in keys:
        assert key.startswith("gate:{")
        assert not any(secret in key for secret in ("acme", "ann", "user", "r1"))


def test_tenants_have_keys_of_their_own() -> None:
    other = ReserveRequest("r1", "other", LINES, 60)
    assert not set(reserve_call().keys) & set(
        RedisProtocol("gate").reserve(other, NOW_US, None, {}).keys
    )


def test_a_question_about_bounds_names_the_line_and_the_time() -> None:
    reply = b"\x02" + _doubles(1, NOW_US)
    with pytest.raises(BoundsNeeded) as asked:
        RedisProtocol().reserved(REQUEST, reply)
    assert (asked.value.line, asked.value.time_us) == (1, NOW_US)


@pytest.mark.parametrize("wait_us", [-1, 2_500_000])
def test_a_refusal_names_the_line_and_the_wait(wait_us: int) -> None:
    reply = b"\x00" + _doubles(1, wait_us, 100, 10, 20, 0, 50, 0, 50, 9_000_000)
    outcome = RedisProtocol().reserved(REQUEST, reply)
    assert not outcome.granted
    assert outcome.exceeded == 1
    assert outcome.retry_after_s == (None if wait_us < 0 else 2.5)
    assert [(s.limit, s.spent, s.reserved) for s in outcome.states] == [(100, 10, 20), (50, 0, 50)]


@pytest.mark.parametrize("reply", [7, [b"x"], None])
def test_a_reply_of_another_shape_is_a_port_error(reply: object) -> None:
    with pytest.raises(PortError):
        RedisProtocol().reserved(REQUEST, reply)  # type: ignore[arg-type]


@pytest.mark.parametrize("bucket", ["", "x", "a.b*", "a}.b", "a.b.c", "../x"])
def test_a_bucket_name_of_no_listing_names_nothing(bucket: str) -> None:
    call = RedisProtocol().reset(bucket, None)
    assert all(key.count("{") == 1 for key in call.keys)
    assert call.args[-1] in (b"none", b"b")


def _doubles(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}d", *numbers)
