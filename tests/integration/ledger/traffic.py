"""A gateway process for the ledger's load tests: reserves, settles, and writes down what it used.

    python traffic.py URL NAME REQUESTS LIMIT

Prints one JSON line per request whose settlement the store confirmed, `{"id", "used"}`, and at the
end `{"refused", "worst"}`: how many reservations were refused and the highest spent + reserved that
any answer showed. Every call is repeated under the same id until the store answers, as a gateway's
redelivery does.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from promptward.errors import PortError
from promptward.ports import BudgetLedger, BudgetLine, ReserveRequest, SettleRequest, Window
from promptward.sync import run_sync
from promptward_ports.ledgers import open_ledger
from promptward_ports.ledgers.redis_connect import connect_blocking, parse_redis_url
from promptward_ports.ledgers.redis_ledger import RedisLedger

MONTH = Window("fixed", 30 * 86_400, months=1)
TIMEOUT_S = 2.0
GIVE_UP_S = 60.0


T = TypeVar("T")


def until_answered(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    deadline = time.monotonic() + GIVE_UP_S
    while True:
        try:
            return run_sync(call())
        except PortError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def open_store(url: str) -> BudgetLedger:
    """The bare store: its failures must be seen here, not be queued by `ResilientLedger`."""
    if url.startswith("sqlite"):
        return open_ledger(url, timeout_s=TIMEOUT_S)
    return RedisLedger(connect_blocking(parse_redis_url(url), TIMEOUT_S))


def main(url: str, name: str, requests: int, limit: int) -> None:
    store = open_store(url)
    rng = random.Random(name)
    refused = worst = 0
    for number in range(requests):
        estimate = rng.randint(50, 150)
        used = rng.randint(0, estimate)
        request_id = f"{name}-{number}"
        lines = tuple(
            BudgetLine(budget, partition, "total_tokens", line_limit, estimate, MONTH)
            for budget, partition, line_limit in (
                ("user", f"claim.sub={name[-1]}", 10**9),
                ("team", "claim.team=core", limit),
                ("model", "model=m", 10**9),
            )
        )
        reserve = ReserveRequest(request_id, "acme", lines, 600)
        outcome = until_answered(lambda r=reserve: store.reserve(r))
        team = outcome.states[1]
        worst = max(worst, team.spent + team.reserved)
        if not outcome.granted:
            refused += 1
            continue
        settle = SettleRequest(request_id, "acme", {"user": used, "team": used, "model": used})
        until_answered(lambda s=settle: store.settle(s))
        print(json.dumps({"id": request_id, "used": used}), flush=True)
    print(json.dumps({"refused": refused, "worst": worst}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
