import contextlib
import logging
import os

import pytest

from promptward_kong.audit import FileSink, JsonLinesSink, NoSink, open_sink
from promptward_kong.output import LineHandler, LineWriter


@pytest.fixture
def pipe():
    read, write = os.pipe()
    os.set_blocking(read, False)
    yield read, write
    for descriptor in (read, write):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_a_line_is_written_whole(pipe):
    read, write = pipe
    LineWriter(write).write(b"abc\n")
    assert os.read(read, 100) == b"abc\n"


def test_a_reader_that_is_behind_loses_lines_and_holds_up_nobody(pipe):
    _, write = pipe
    writer = LineWriter(write)
    for _ in range(100):
        writer.write(b"x" * 4096)  # a pipe holds 64 KiB
    assert writer.dropped >= 80


def test_a_reader_that_is_gone_is_no_error(pipe):
    read, write = pipe
    os.close(read)
    writer = LineWriter(write)
    writer.write(b"x\n")
    assert writer.dropped == 1


def test_exceptions_are_logged_without_their_text(pipe):
    read, write = pipe
    logger = logging.getLogger("promptward_kong.test_output")
    logger.propagate = False
    handler = LineHandler(LineWriter(write))
    logger.addHandler(handler)
    try:
        raise ValueError("the prompt")
    except ValueError:
        logger.exception("it failed\nbadly")
    logger.removeHandler(handler)
    line = os.read(read, 10_000).decode()
    assert "the prompt" not in line
    assert "ValueError at" in line
    assert "test_output.py" in line
    assert line.count("\n") == 1


def test_a_record_that_cannot_be_formatted_stops_nothing(pipe, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    record = logging.LogRecord("n", logging.ERROR, "p", 1, "%d", ("x",), None)
    LineHandler(LineWriter(pipe[1])).emit(record)


def test_events_are_lines_of_json(tmp_path):
    path = tmp_path / "audit.jsonl"
    sink = open_sink(str(path))
    sink.emit({"a": 1})
    open_sink(str(path)).emit({"b": "\u00e9"})
    assert path.read_text("utf-8") == '{"a":1}\n{"b":"\\u00e9"}\n'
    assert path.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_a_rotated_file_is_opened_again(tmp_path, how):
    path, rotated = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    sink = open_sink(str(path))
    sink.emit({"n": 1})
    if how == "removed":
        path.unlink()
    else:
        path.rename(rotated)
    if how == "replaced":
        path.touch()
    sink.emit({"n": 2})
    assert path.read_text("utf-8") == '{"n":2}\n'
    if how != "removed":
        assert rotated.read_text("utf-8") == '{"n":1}\n'


def test_a_file_that_cannot_be_opened_again_is_no_error(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    sink = open_sink(str(folder / "audit.jsonl"))
    (folder / "audit.jsonl").unlink()
    folder.rmdir()
    sink.emit({"n": 1})


def test_sinks_by_name():
    assert isinstance(open_sink("none"), NoSink)
    assert isinstance(open_sink("stdout"), JsonLinesSink)
    open_sink("none").emit({})


def test_a_path_is_a_file(tmp_path):
    assert isinstance(open_sink(str(tmp_path / "a")), FileSink)
