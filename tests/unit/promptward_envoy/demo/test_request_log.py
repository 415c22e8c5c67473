"""One line for each body, exactly what came."""

from __future__ import annotations

import io
import json

import pytest

from promptward_envoy.demo.request_log import RequestLog, line_of


@pytest.mark.parametrize("body", [b'{ "messages" : [] }', b"[1]", b'"\xc3\xa9"', b"null"])
def test_json_is_its_own_line(body) -> None:
    assert line_of(body) == body


def test_line_breaks_between_tokens_become_spaces_and_mean_the_same() -> None:
    body = b'{\r\n"a": "x\\ny"\n}'
    assert b"\n" not in line_of(body)
    assert json.loads(line_of(body)) == json.loads(body)


@pytest.mark.parametrize("body", [b"", b"plain \xff\n text", b"{"])
def test_anything_else_is_a_json_string_of_its_octets(body) -> None:
    assert json.loads(line_of(body)).encode("latin-1") == body
    assert b"\n" not in line_of(body)


def test_log_is_flushed_line_by_line_and_appends(tmp_path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    log = RequestLog.open(path)
    log.write(b"{}")
    assert path.read_bytes() == b"old\n{}\n"
    assert log._out is not None
    log._out.close()
    RequestLog(None).write(b"{}")
    RequestLog(io.BytesIO()).write(b"{}")
