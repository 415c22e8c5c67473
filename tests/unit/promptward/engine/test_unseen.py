"""A gateway that sees nothing of responses: charged in one step, and told the same as in two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from promptward.decision import Allow, Decision
from promptward.ports import LineState, ReserveOutcome, ReserveRequest, SettleRequest
from promptward.sync import run_sync
from promptward.testing.fakes import TestBench, chat_exchange, policy_with
from promptward_ports.ledgers.memory import MemoryLedger

TOKENS = {"id": "tokens", "limit": 10_000}
REQUESTS = {"id": "requests", "limit": 3, "unit": "requests", "soft_limit": 0.5}
RUNNING = {"id": "running", "limit": 1, "unit": "concurrent_requests"}
NO_SSN = {"id": "pii", "type": "pii", "entities": [{"type": "US_SSN", "action": "block"}]}


class Counted(MemoryLedger):
    """A store that counts its transactions."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        self.calls.append("charge" if request.charge_now else "reserve")
        return await super().reserve(request)

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        self.calls.append("settle")
        return await super().settle(request)


class Gateway:
    """Decides requests whose responses nobody sees. Args: `says_so` to the engine."""

    def __init__(self, says_so: bool, **spec: Any) -> None:
        self.ledger = Counted()
        self.bench = TestBench(policy_with(**spec), self.ledger)
        self.ledger._clock = self.bench.clock  # both sides of a comparison at the same time
        self._says_so = says_so

    def send(self, text: str = "Hello", status: int = 0, **fields: Any) -> Decision:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
        exchange = chat_exchange(body, **fields)
        engine = self.bench.engine
        decision = run_sync(engine.on_request(exchange, sees_response=not self._says_so))
        if isinstance(decision, Allow):
            run_sync(engine.on_unseen_response(decision.ticket, status))
        return decision

    def entries(self) -> list[tuple[str, int, str]]:
        return [(e.budget, e.amount, e.state) for e in run_sync(self.ledger.entries())]

    def told(self, decision: Decision) -> Mapping[str, object]:
        """Everything anybody sees of the exchanges so far."""
        headers = decision.response_headers if isinstance(decision, Allow) else decision.headers
        return {
            "kind": type(decision),
            "findings": decision.findings,
            "headers": headers,
            "events": self.bench.audit.events,
            "entries": self.entries(),
            "usage": run_sync(self.ledger.usage()),
        }


def test_one_transaction_charges_the_estimate() -> None:
    gateway = Gateway(says_so=True, budgets=[TOKENS, REQUESTS])
    gateway.send()
    assert gateway.ledger.calls == ["charge"]
    request, response = gateway.bench.audit.events
    assert [b["reserved"] for b in request["budgets"]] == [b["spent"] for b in response["budgets"]]
    assert [state for _, _, state in gateway.entries()] == ["settled", "settled"]


@pytest.mark.parametrize(
    "budget", [RUNNING, {**TOKENS, "on_missing_usage": "release"}], ids=["concurrent", "release"]
)
def test_what_is_settled_to_something_else_takes_two(budget: dict[str, Any]) -> None:
    gateway = Gateway(says_so=True, budgets=[TOKENS | {"id": "other"}, budget])
    gateway.send()
    assert gateway.ledger.calls == ["reserve", "settle"]
    assert (budget["id"], 0, "settled") in gateway.entries()


def test_who_sees_the_response_settles_it() -> None:
    gateway = Gateway(says_so=False, budgets=[TOKENS])
    gateway.send()
    assert gateway.ledger.calls == ["reserve", "settle"]


@pytest.mark.parametrize(
    ("text", "status"), [("My SSN is 536-22-1234", 0), ("Hello", 502)], ids=["refused", "failed"]
)
def test_what_must_not_be_charged_is_given_back(text: str, status: int) -> None:
    gateway = Gateway(says_so=True, budgets=[TOKENS], checks=[NO_SSN])
    gateway.send(text, status)
    assert gateway.ledger.calls == ["charge", "settle"]
    assert gateway.entries() == [("tokens", 0, "settled")]
    (row,) = run_sync(gateway.ledger.usage())
    assert (row.spent, row.reserved) == (0, 0)


def test_a_request_without_a_response_is_given_back() -> None:
    gateway = Gateway(says_so=True, budgets=[TOKENS])
    engine = gateway.bench.engine
    decision = run_sync(engine.on_request(chat_exchange(), sees_response=False))
    assert isinstance(decision, Allow)
    run_sync(engine.on_no_response(decision.ticket, "needs_ext_proc"))
    assert gateway.entries() == [("tokens", 0, "settled")]


def test_the_same_request_id_is_charged_once_and_told_the_same() -> None:
    gateway = Gateway(says_so=True, budgets=[TOKENS])
    first, second = (gateway.send(request_id="gw-1") for _ in range(2))
    assert isinstance(first, Allow)
    assert isinstance(second, Allow)
    assert first.response_headers == second.response_headers
    assert len(gateway.entries()) == 1
    (row,) = run_sync(gateway.ledger.usage())
    assert row.spent == first.ticket.estimates["tokens"]


@pytest.mark.parametrize("window", ["fixed", "sliding", "token_bucket"])
@pytest.mark.parametrize(
    "spec",
    [
        {"budgets": [TOKENS]},
        {"budgets": [TOKENS, REQUESTS], "checks": [NO_SSN]},
        {"budgets": [REQUESTS | {"on_exceed": "flag"}]},
        {"budgets": [TOKENS, REQUESTS | {"mode": "shadow"}]},
        {"budgets": [TOKENS, RUNNING]},
        {"budgets": []},
    ],
)
def test_nobody_can_tell_one_step_from_two(window: str, spec: dict[str, Any]) -> None:
    """Headers, both audit events, findings, entries and usage, also beside open reservations, and
    where a token bucket refilled while they ran."""
    timed = {"window": {"type": window, "duration": "1h"}}
    budgets = [b if b is RUNNING else b | timed for b in spec["budgets"]]
    pair = [Gateway(says_so, **(spec | {"budgets": budgets})) for says_so in (False, True)]
    for gateway in pair:
        # another gateway's, which will see its response
        run_sync(gateway.bench.engine.on_request(chat_exchange(request_id="open")))
    for text, pause_s in [
        ("Hello", 60),
        ("My SSN is 536-22-1234", 0),
        ("Hello again", 1000),
        ("And again", 0),
        ("And once more", 0),
    ]:
        for gateway in pair:
            gateway.bench.clock.time_s += pause_s
        two, one = (gateway.told(gateway.send(text)) for gateway in pair)
        assert one == two


def test_the_store_says_what_a_refilled_bucket_still_holds() -> None:
    """Less is used than is open: the figures cannot be had by taking the estimate off."""
    bucket = TOKENS | {"window": {"type": "token_bucket", "duration": "1m"}}
    pair = [Gateway(says_so, budgets=[bucket]) for says_so in (False, True)]
    for gateway in pair:
        run_sync(gateway.bench.engine.on_request(chat_exchange(request_id="open")))
        gateway.bench.clock.time_s += 30
    two, one = (gateway.told(gateway.send("Hi")) for gateway in pair)
    assert one == two
    response = pair[1].bench.audit.events[-1]
    assert response["phase"] == "response"
    assert response["budgets"][0]["reserved"] > 0
    assert response["budgets"][0]["spent"] == 0
