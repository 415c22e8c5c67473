"""The ledger port over HTTP: who may draw, what is refused, and how it stops."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from promptward.errors import PortError
from promptward.ledger import wire
from promptward.ports import LineState, ReserveOutcome, ReserveRequest, SettleRequest
from promptward.testing.ledgers import budget_line
from promptward_envoy import ledger_port
from promptward_envoy.ledger_port import LedgerPort
from promptward_ports.ledgers.memory import MemoryLedger

TOKEN = "a-token-of-some-length"
RESERVE = wire.reserve_text(ReserveRequest("r", "acme", (budget_line(),), 60))
SETTLE = wire.settle_text(SettleRequest("r", "acme", {"tokens": 3}))


class Clock:
    def now_s(self) -> float:
        return 1_760_000_000.0


class Held:
    """A ledger that answers when it is told to, or fails."""

    def __init__(self, failure: str = "") -> None:
        self.failure = failure
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def reserve(self, request: ReserveRequest) -> ReserveOutcome:
        self.asked.set()
        if self.failure:
            raise PortError("ledger", self.failure)
        await self.may_answer.wait()
        return ReserveOutcome(True, ())

    async def settle(self, request: SettleRequest) -> tuple[LineState, ...]:
        raise PortError("ledger", self.failure)


Scenario = Callable[[LedgerPort, aiohttp.ClientSession], Awaitable[None]]


def run(ledger: object, scenario: Scenario) -> None:
    """Run `scenario` with a port on `ledger` and a client of it."""

    async def whole() -> None:
        port = LedgerPort(ledger, TOKEN)  # type: ignore[arg-type]
        url = f"http://127.0.0.1:{await port.start('127.0.0.1', 0)}"
        headers = {"authorization": f"Bearer {TOKEN}"}
        try:
            async with aiohttp.ClientSession(url, headers=headers) as client:
                await scenario(port, client)
        finally:
            await port.stop()

    asyncio.run(whole())


def status_of(body: bytes, path: str = wire.RESERVE_PATH, **headers: str) -> tuple[int, object]:
    """Status and decoded answer of one request to a port on a fresh memory ledger."""
    found: list[tuple[int, object]] = []

    async def ask(_port: LedgerPort, client: aiohttp.ClientSession) -> None:
        async with client.post(path, data=body, headers=headers) as answer:
            found.append((answer.status, json.loads(await answer.text())))

    run(MemoryLedger(Clock()), ask)
    return found[0]


def test_reserving_and_settling() -> None:
    async def scenario(_port: LedgerPort, client: aiohttp.ClientSession) -> None:
        async with client.post(wire.RESERVE_PATH, data=RESERVE) as answer:
            outcome = wire.outcome(await answer.text())
        async with client.post(wire.SETTLE_PATH, data=SETTLE) as answer:
            states = wire.states(await answer.text())
        assert outcome.granted
        assert [(s.spent, s.reserved) for s in states] == [(3, 0)]

    run(MemoryLedger(Clock()), scenario)


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]
)
def test_nobody_draws_without_the_token(given: str) -> None:
    for path in (wire.RESERVE_PATH, wire.SETTLE_PATH):
        assert status_of(RESERVE.encode(), path, authorization=given) == (
            401,
            {"error": "unauthorized"},
        )


def test_a_short_token_is_refused() -> None:
    with pytest.raises(ValueError, match="16 characters"):
        LedgerPort(MemoryLedger(Clock()), "short")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[NaN]",
        b"\xff",
        b"[" * 1000,
        RESERVE.encode()[:-1],
        RESERVE.replace("acme", "\\ud800").encode(),
        RESERVE.replace(",60,", ",60,1,").encode(),
        RESERVE.replace(",60,", ',"60",').encode(),
        RESERVE.replace(",60,", ",0,").encode(),
        RESERVE.replace("fixed", "broken").encode(),
        RESERVE.replace(",100,10,", ",100,-10,").encode(),
        wire.reserve_text(ReserveRequest("r", "acme", (), 60)).encode(),
    ],
)
def test_what_is_malformed_or_out_of_bounds_is_400(body: bytes) -> None:
    assert body != RESERVE.encode()
    assert status_of(body)[0] == 400


@pytest.mark.parametrize(
    "body", [b'["r","t",{"b":1,"b":2}]', b'["r","t",{"b":-1}]', b'["","t",{}]']
)
def test_a_malformed_settlement_is_400(body: bytes) -> None:
    assert status_of(body, wire.SETTLE_PATH)[0] == 400


def test_a_compressed_body_is_not_unpacked() -> None:
    packed = gzip.compress(RESERVE.encode())
    headers = {"content-encoding": "gzip"}
    assert status_of(packed, **headers) == (400, {"error": "invalid_utf8"})


def test_a_broken_or_cut_body_is_nobodys_business(caplog: pytest.LogCaptureFixture) -> None:
    """Neither charges anybody nor fills the log."""

    async def scenario(port: LedgerPort, client: aiohttp.ClientSession) -> None:
        host, number = port._runner.addresses[0][:2]  # type: ignore[union-attr]
        head = f"POST {wire.RESERVE_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
        for rest in ("transfer-encoding: chunked\r\n\r\nzz\r\n", "content-length: 9\r\n\r\n["):
            reader, writer = await asyncio.open_connection(host, number)
            writer.write((head + rest).encode())
            writer.write_eof()
            assert b" 200 " not in await reader.read()
            writer.close()
            await writer.wait_closed()

    with caplog.at_level(logging.WARNING):
        run(MemoryLedger(Clock()), scenario)
    assert caplog.text == ""


def test_a_body_over_the_limit_is_413() -> None:
    assert status_of(b" " * (256 * 1024 + 1) + RESERVE.encode())[0] == 413


def test_the_largest_legal_reservation_fits() -> None:
    lines = tuple(budget_line(f"b{n}", partition="x" * 4096) for n in range(32))
    text = wire.reserve_text(ReserveRequest("r" * 256, "t" * 4096, lines, 60))
    assert status_of(text.encode())[0] == 200


def test_a_failing_store_is_503_and_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(_port: LedgerPort, client: aiohttp.ClientSession) -> None:
        for path, text in ((wire.RESERVE_PATH, RESERVE), (wire.SETTLE_PATH, SETTLE)):
            async with client.post(path, data=text) as answer:
                assert (answer.status, await answer.json()) == (503, {"error": "locked"})

    with caplog.at_level(logging.DEBUG):
        run(Held("locked"), scenario)
    assert "claim.sub" not in caplog.text
    assert TOKEN not in caplog.text


def test_a_fault_of_ours_is_503_and_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(_port: LedgerPort, client: aiohttp.ClientSession) -> None:
        async with client.post(wire.RESERVE_PATH, data=RESERVE) as answer:
            assert (answer.status, await answer.json()) == (503, {"error": "internal"})

    run(object(), scenario)
    (record,) = caplog.records
    assert record.getMessage().startswith("ledger port failed closed: AttributeError at ")


def test_a_body_that_does_not_come_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_port, "_BODY_S", 0.05)

    async def scenario(port: LedgerPort, client: aiohttp.ClientSession) -> None:
        host, number = port._runner.addresses[0][:2]  # type: ignore[union-attr]
        reader, writer = await asyncio.open_connection(host, number)
        head = f"POST {wire.RESERVE_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}content-length: 10\r\n\r\n[".encode())
        assert b" 408 " in await reader.readline()
        writer.close()
        await writer.wait_closed()

    run(MemoryLedger(Clock()), scenario)


def test_more_calls_than_the_port_takes_are_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_port, "_MAX_CALLS", 1)

    async def scenario(_port: LedgerPort, client: aiohttp.ClientSession) -> None:
        held = asyncio.create_task(client.post(wire.RESERVE_PATH, data=RESERVE))
        await ledger.asked.wait()
        async with client.post(wire.RESERVE_PATH, data=RESERVE) as answer:
            assert answer.status == 503
        ledger.may_answer.set()
        async with await held as answer:
            assert answer.status == 200

    ledger = Held()
    run(ledger, scenario)


def test_stopping_finishes_the_calls_under_way() -> None:
    async def scenario(port: LedgerPort, client: aiohttp.ClientSession) -> None:
        held = asyncio.create_task(client.post(wire.RESERVE_PATH, data=RESERVE))
        await ledger.asked.wait()
        stopping = asyncio.create_task(port.stop())
        await asyncio.sleep(0)
        ledger.may_answer.set()
        async with await held as answer:
            assert answer.status == 200
        await stopping

    ledger = Held()
    run(ledger, scenario)
