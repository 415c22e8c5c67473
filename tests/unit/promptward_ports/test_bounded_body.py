"""Reading a body: its size and its time are bounded."""

from __future__ import annotations

import gzip
import io
import time

import pytest
import requests
import urllib3

from promptward.errors import PortError
from promptward_ports.bounded_body import read_bounded


def response(body: bytes, **headers: str) -> requests.Response:
    made = requests.Response()
    made.raw = urllib3.HTTPResponse(io.BytesIO(body), headers=headers, preload_content=False)
    return made


def read(made: requests.Response, *, max_bytes: int = 1000, within_s: float = 60.0) -> bytes:
    return read_bounded(
        made, port="keys", max_bytes=max_bytes, deadline_s=time.monotonic() + within_s
    )


def test_a_body_up_to_the_cap_is_read() -> None:
    assert read(response(b"x" * 1000)) == b"x" * 1000
    assert read(response(b"")) == b""


@pytest.mark.parametrize(
    "made",
    [response(b"x" * 1001), response(gzip.compress(b"x" * 1001), **{"content-encoding": "gzip"})],
)
def test_one_byte_more_is_refused_counted_after_decoding(made: requests.Response) -> None:
    with pytest.raises(PortError, match="keys: the answer is larger than 1000 bytes"):
        read(made)


def test_a_deadline_that_has_passed() -> None:
    with pytest.raises(PortError, match="keys: the answer took too long"):
        read(response(b"x"), within_s=-1.0)
