"""Redis' clock decides windows, whatever the gateways' clocks say."""

from __future__ import annotations

import time

import pytest

from promptward.ports import ReserveRequest, Window
from promptward.sync import run_sync
from promptward.testing.ledgers import budget_line
from promptward.testing.redis_server import RedisServer
from promptward_ports.ledgers.clock import HostClock
from promptward_ports.ledgers.redis_connect import connect_blocking, parse_redis_url
from promptward_ports.ledgers.redis_ledger import RedisLedger

pytestmark = pytest.mark.redis
DAY_S = 86_400
WINDOWS = (
    Window("fixed", 60),
    Window("fixed", DAY_S, "Asia/Kathmandu"),
    Window("fixed", 30 * DAY_S, months=1),
    Window("sliding", 60),
)


@pytest.mark.parametrize("off_by_s", [-400 * DAY_S, -3600, 3600, 10 * DAY_S])
def test_a_gateway_whose_clock_is_wrong_draws_from_the_same_windows(
    off_by_s: int, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = parse_redis_url(redis_server.url)
    lines = tuple(
        budget_line(f"b{number}", limit=100, amount=60, window=window)
        for number, window in enumerate(WINDOWS)
    )
    prefix = f"clock{off_by_s}"
    right = RedisLedger(connect_blocking(target, 5), prefix=prefix)
    wrong = RedisLedger(connect_blocking(target, 5), prefix=prefix)
    with monkeypatch.context() as patched:
        patched.setattr(HostClock, "now_s", lambda _: time.time() + off_by_s)
        first = run_sync(wrong.reserve(ReserveRequest("r1", "t", lines, 60)))
    assert first.granted
    assert all(0 <= state.reset_s <= 31 * DAY_S for state in first.states)
    second = run_sync(right.reserve(ReserveRequest("r2", "t", lines[1:], 60)))
    assert not second.granted
    assert [state.reserved for state in second.states] == [60, 60, 60]
    for ledger in (right, wrong):
        run_sync(ledger.close())
