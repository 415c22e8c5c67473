"""Audit sinks of the service."""

from __future__ import annotations

import io
import json

from promptward_envoy.ports import JsonLinesAudit, NoAudit, open_audit


def test_events_are_json_lines_on_stdout() -> None:
    out = io.StringIO()
    sink = open_audit("stdout", out)
    sink.emit({"a": 1})
    sink.emit({"b": "é\n"})
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [{"a": 1}, {"b": "é\n"}]


def test_file_is_appended_to_line_by_line(tmp_path) -> None:
    for value in (1, 2):
        sink = open_audit(str(tmp_path / "audit.jsonl"), io.StringIO())
        sink.emit({"n": value})
        # no close: every line must be in the file as soon as it is emitted
        assert len((tmp_path / "audit.jsonl").read_text().splitlines()) == value
        sink._out.close()  # type: ignore[attr-defined]


def test_none_discards() -> None:
    assert isinstance(open_audit("none", io.StringIO()), NoAudit)
    NoAudit().emit({"a": 1})


def test_full_disk_does_not_stop_traffic() -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    JsonLinesAudit(Full()).emit({"a": 1})
