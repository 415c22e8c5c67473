"""RESP2: encoded as specified, decoded the same however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptward_ports.ledgers.resp import (
    MAX_REPLY_BYTES,
    ErrorReplyError,
    ProtocolError,
    Replies,
    RespValue,
    checked,
    encode_command,
)


def encoded(value: RespValue) -> bytes:
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    return b"*%d\r\n" % len(value) + b"".join(map(encoded, value))


leaves = st.one_of(st.none(), st.integers(-(10**15), 10**15), st.binary(max_size=40))
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3), max_leaves=6).filter(
    lambda value: depth(value) <= 3
)


def depth(value: RespValue) -> int:
    if not isinstance(value, list):
        return 0
    return 1 + max(map(depth, value), default=0)


@given(st.lists(values, max_size=4), st.lists(st.integers(0, 400), max_size=8))
def test_any_cut_gives_the_same_replies(replies: list[RespValue], cuts: list[int]) -> None:
    data = b"".join(map(encoded, replies))
    parser, found = Replies(), []
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    for start, end in pairwise(edges):
        found += parser.feed(data[start:end])
    assert found == replies


def test_simple_strings_are_bytes() -> None:
    assert Replies().feed(b"+OK\r\n") == [b"OK"]


def test_an_error_shows_its_code_only() -> None:
    (error,) = Replies().feed(b"-ERR wrong value 'secret'\r\n")
    assert isinstance(error, ErrorReplyError)
    assert (error.code, str(error)) == ("ERR", "ERR")
    with pytest.raises(ErrorReplyError):
        checked([b"OK", error])


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"$abc\r\n",
        b"$%d\r\n" % (MAX_REPLY_BYTES + 1),
        b"*1\r\n" * 6 + b":1\r\n",
        b"*1\r\n-ERR inside\r\n",
        b":" + b"9" * 30 + b"\r\n",
        b"$" + b"1" * (MAX_REPLY_BYTES + 2),
    ],
)
def test_what_is_not_resp_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Replies().feed(data)


def test_a_command_is_an_array_of_bulk_strings() -> None:
    assert encode_command(b"GET", b"a\r\nb") == b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n"
