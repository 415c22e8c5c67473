"""The JSON lines sink: complete lines, bounded memory, counted losses, log rotation."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from promptward_ports import audit_sinks
from promptward_ports.audit_sinks import JsonLinesSink


def lines(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def test_events_become_lines_in_order(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with JsonLinesSink(path) as sink:
        for number in range(1000):
            sink.emit({"n": number})
    assert lines(path) == [{"n": number} for number in range(1000)]
    assert (sink.written, sink.dropped, sink.failed) == (1000, 0, 0)


def test_the_file_is_private_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for number in range(2):
        with JsonLinesSink(path) as sink:
            sink.emit({"n": number})
    assert lines(path) == [{"n": 0}, {"n": 1}]
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_text_can_break_a_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    event = {"text": "a\nb\r\u2028\u0085\ud800\x00é"}
    with JsonLinesSink(path) as sink:
        sink.emit(event)
    assert path.read_bytes().count(b"\n") == 1
    assert lines(path) == [event]


def test_what_is_no_json_is_counted_and_the_rest_written(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    endless: dict[str, object] = {}
    endless["self"] = endless
    with JsonLinesSink(path) as sink:
        sink.emit({"n": 1})
        sink.emit({"n": float("nan")})
        sink.emit({"n": object()})  # type: ignore[dict-item]
        sink.emit(endless)  # type: ignore[arg-type]
        sink.emit({"n": 2})
    assert lines(path) == [{"n": 1}, {"n": 2}]
    assert sink.failed == 3


def test_a_full_queue_drops_and_counts_without_blocking(tmp_path: Path) -> None:
    """A named pipe whose reader does not read is a disk that hangs."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sink = JsonLinesSink(pipe, capacity=16)
    big = {"pad": "x" * 60_000}
    for _ in range(200):  # 12 MB into a pipe of 64 KiB
        sink.emit(big)
    assert sink.dropped >= 200 - 16 - 16
    assert not sink.flush(0.01)
    os.set_blocking(reader, True)
    received = bytearray()

    def drain() -> None:
        while chunk := os.read(reader, 1 << 20):
            received.extend(chunk)

    thread = threading.Thread(target=drain)
    thread.start()
    sink.close()
    thread.join(10)
    os.close(reader)
    assert not thread.is_alive()
    assert received.count(b"\n") == sink.written
    assert sink.written + sink.dropped == 200


def test_events_after_close_are_counted_as_dropped(tmp_path: Path) -> None:
    sink = JsonLinesSink(tmp_path / "audit.jsonl")
    sink.close()
    sink.close()
    sink.emit({"n": 1})
    assert sink.dropped == 1


def test_a_rotated_file_is_opened_again(tmp_path: Path) -> None:
    path, old = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    with JsonLinesSink(path) as sink:
        sink.emit({"n": 1})
        assert sink.flush()
        path.rename(old)
        sink.emit({"n": 2})
        assert sink.flush()
        path.unlink()
        sink.emit({"n": 3})
        assert sink.flush()
        assert lines(path) == [{"n": 3}]
    assert lines(old) == [{"n": 1}]


def test_a_directory_that_vanishes_loses_events_countably(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    with JsonLinesSink(folder / "audit.jsonl") as sink:
        (folder / "audit.jsonl").unlink()
        folder.rmdir()
        sink.emit({"n": 1})
        assert sink.flush()
        assert sink.failed == 1
        folder.mkdir()
        sink.emit({"n": 2})
        assert sink.flush()
        assert lines(folder / "audit.jsonl") == [{"n": 2}]


def test_several_threads_may_emit(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with JsonLinesSink(path) as sink:

        def emit(thread: int) -> None:
            for index in range(200):
                sink.emit({"t": thread, "i": index})

        threads = [threading.Thread(target=emit, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(lines(path)) == 1600
    assert {(e["t"], e["i"]) for e in lines(path)} == {(t, i) for t in range(8) for i in range(200)}  # type: ignore[index]


def test_events_reach_the_file_by_themselves(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with JsonLinesSink(path) as sink:
        for number in range(3):
            sink.emit({"n": number})
            deadline_s = time.monotonic() + 10
            while len(lines(path)) <= number:
                assert time.monotonic() < deadline_s
                time.sleep(0.002)


def test_events_of_a_moment_are_written_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wake-up for each would take the interpreter away from the request being served."""
    monkeypatch.setattr(audit_sinks, "_GATHER_S", 60.0)
    writes: list[int] = []
    with JsonLinesSink(tmp_path / "audit.jsonl") as sink:
        write = sink._output.write
        monkeypatch.setattr(sink._output, "write", lambda d: (writes.append(len(d)), write(d)))
        for number in range(100):
            sink.emit({"n": number})
    assert len(writes) == 1
    assert len(lines(tmp_path / "audit.jsonl")) == 100


def test_a_burst_does_not_wait_to_be_gathered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_sinks, "_GATHER_S", 60.0)
    path = tmp_path / "audit.jsonl"
    with JsonLinesSink(path) as sink:
        for number in range(256):
            sink.emit({"n": number})
        deadline_s = time.monotonic() + 10
        while len(lines(path)) < 256:
            assert time.monotonic() < deadline_s
            time.sleep(0.002)


def test_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with JsonLinesSink() as sink:
        sink.emit({"n": 1})
    assert capfd.readouterr().out == '{"n":1}\n'
