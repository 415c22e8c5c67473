"""Audit sinks of the service; the sink itself is tested with `promptward_ports`."""

from __future__ import annotations

import json

import pytest

from promptward_envoy.ports import NoAudit, open_audit


def test_file_gets_one_line_for_each_event(tmp_path) -> None:
    path = tmp_path / "audit.jsonl"
    for value in (1, 2):
        sink = open_audit(str(path))
        sink.emit({"n": value})
        sink.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"n": 1}, {"n": 2}]


def test_file_that_cannot_be_opened_is_an_error_at_once(tmp_path) -> None:
    with pytest.raises(OSError, match="missing"):
        open_audit(str(tmp_path / "missing" / "audit.jsonl"))


def test_none_discards_and_loses_nothing() -> None:
    sink = open_audit("none")
    assert isinstance(sink, NoAudit)
    sink.emit({"a": 1})
    sink.close()
    assert sink.dropped + sink.failed == 0
