"""Driving a coroutine without a loop."""

from __future__ import annotations

import asyncio

import pytest

from promptward.errors import SuspendedError
from promptward.sync import run_sync


async def inner(value: int) -> int:
    return value * 2


async def outer() -> int:
    return await inner(20) + 2


def test_it_runs_to_the_end() -> None:
    assert run_sync(outer()) == 42


def test_a_real_suspension_is_a_bug_and_cleans_up() -> None:
    cleaned = []

    async def suspends() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            cleaned.append(True)

    with pytest.raises(SuspendedError):
        run_sync(suspends())
    assert cleaned == [True]


def test_exceptions_come_through() -> None:
    async def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_sync(fails())
