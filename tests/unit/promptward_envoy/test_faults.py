"""Faults are logged by type and place, never by text."""

from __future__ import annotations

from promptward_envoy.faults import log_fault


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
