"""The bound on exchanges in flight, and settlements that outlive their stream."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, Gauge

from promptward_envoy.admission import Admission


def admission(bound: int) -> tuple[Admission, Gauge]:
    gauge = Gauge("g", "g", registry=CollectorRegistry())
    return Admission(bound, gauge), gauge


def test_bound_is_inclusive_and_given_back() -> None:
    made, gauge = admission(2)
    assert [made.enter(), made.enter(), made.enter()] == [True, True, False]
    assert gauge._value.get() == 3
    made.leave()
    made.leave()
    assert made.enter()


def test_settled_waits_for_work_whose_caller_was_cancelled() -> None:
    made, _ = admission(1)
    done: list[int] = []

    async def settlement(gate: asyncio.Event) -> None:
        await gate.wait()
        done.append(1)

    async def caller(gate: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            made.settle_later(settlement(gate))

    async def scenario() -> None:
        gate = asyncio.Event()
        task = asyncio.create_task(caller(gate))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        waiting = asyncio.create_task(made.settled())
        await asyncio.sleep(0)
        assert not waiting.done()
        gate.set()
        await waiting
        assert done == [1]

    asyncio.run(scenario())


def test_settled_returns_at_once_when_nothing_is_owed() -> None:
    made, _ = admission(1)
    asyncio.run(made.settled())
