"""Reloads asked for by signals; the process itself is tests/integration/envoy/test_service.py."""

from __future__ import annotations

import asyncio

from promptward_envoy.service import _Reloads


def test_signals_during_a_reload_cause_exactly_one_more() -> None:
    async def scenario() -> None:
        gate = asyncio.Event()
        started: list[int] = []

        async def reload() -> None:
            started.append(1)
            await gate.wait()

        reloads = _Reloads(reload)
        reloads.ask()
        await asyncio.sleep(0)
        for _ in range(5):
            reloads.ask()
        assert len(started) == 1
        gate.set()
        assert reloads._task is not None
        await reloads._task
        assert len(started) == 2
        reloads.ask()
        await reloads._task
        assert len(started) == 3

    asyncio.run(scenario())
