"""Inflating event streams: any cut, under a cap, nothing unreadable."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptward.exchange import Headers
from promptward_envoy.content_coding import Inflater, UnsupportedCodingError

DATA = b"data: {}\n\n" * 50


def inflater(coding: str, max_bytes: int = 10_000) -> Inflater:
    made = Inflater.for_headers(Headers([("content-encoding", coding)]), max_bytes)
    assert made is not None
    return made


@pytest.mark.parametrize("coding", [None, "", "identity", "Identity , "])
def test_identity_needs_none(coding) -> None:
    headers = Headers([("content-encoding", coding)] if coding is not None else [])
    assert Inflater.for_headers(headers, 1) is None


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "x"])
def test_unknown_or_stacked_codings_are_refused(coding) -> None:
    with pytest.raises(UnsupportedCodingError, match="unsupported_content_encoding"):
        inflater(coding)


@given(st.lists(st.integers(1, 60), max_size=30), st.sampled_from(["gzip", "deflate", "GZIP"]))
def test_every_cut_gives_the_same_bytes(sizes, coding) -> None:
    packed = zlib.compress(DATA) if coding == "deflate" else gzip.compress(DATA, mtime=0)
    stream, out, at = inflater(coding), b"", 0
    for size in sizes:
        out += stream.feed(packed[at : at + size])
        at += size
    assert out + stream.feed(packed[at:], last=True) == DATA


def test_cap_holds_for_one_chunk_and_for_the_sum() -> None:
    bomb = gzip.compress(b"\0" * 1_000_000)
    with pytest.raises(UnsupportedCodingError, match="inflated_body_too_large"):
        inflater("gzip", 1000).feed(bomb)
    packed = gzip.compress(DATA, compresslevel=0)
    stream = inflater("gzip", len(DATA) - 1)
    octets = (packed[at : at + 1] for at in range(len(packed)))
    with pytest.raises(UnsupportedCodingError, match="inflated_body_too_large"):
        sum(len(stream.feed(octet)) for octet in octets)


def test_exactly_the_cap_passes() -> None:
    assert inflater("gzip", len(DATA)).feed(gzip.compress(DATA), last=True) == DATA


@pytest.mark.parametrize(
    "data", [b"plain text", gzip.compress(DATA)[:-4], gzip.compress(DATA) + b"tail", b""]
)
def test_corrupt_cut_or_continued_data_is_refused(data) -> None:
    with pytest.raises(UnsupportedCodingError, match="corrupt_content_encoding"):
        inflater("gzip").feed(data, last=True)
