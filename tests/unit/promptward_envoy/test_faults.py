"""Faults are logged by type and place, never by text."""

from __future__ import annotations

import asyncio

from promptward_envoy.faults import log_fault, settle_or_log
from promptward_envoy.metrics import Metrics


def fail() -> None:
    raise ValueError("canary: the prompt said hello")


def test_text_of_an_exception_is_not_logged(caplog) -> None:
    try:
        fail()
    except ValueError as error:
        log_fault("ext_proc", error)
    assert "ValueError" in caplog.text
    assert "test_faults.py" in caplog.text
    assert "in fail" in caplog.text or " fail" in caplog.text
    assert "canary" not in caplog.text


def test_settlement_that_fails_is_logged_and_counted(caplog) -> None:
    async def settlement() -> None:
        fail()

    metrics = Metrics()
    asyncio.run(settle_or_log("ext_authz", metrics, settlement()))
    counted = 'promptward_failures_total{filter="ext_authz",reason="settlement"} 1.0'
    assert counted in metrics.render().decode()
    assert "ext_authz failed closed: ValueError" in caplog.text
    assert "canary" not in caplog.text
