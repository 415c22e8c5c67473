"""The framer: WHATWG line ends, any cut, every byte kept, bounded."""

from __future__ import annotations

import pytest

from promptward.stream.framer import EventFramer, EventTooLargeError, Frame

STREAMS = {
    "LF": b"data: 1\n\ndata: 2\n\n",
    "CRLF": b"data: 1\r\n\r\ndata: 2\r\n\r\n",
    "CR": b"data: 1\r\rdata: 2\r\r",
    "mixed ends": b"data: 1\n\r\ndata: 2\r\n\ndata: 3\r\r\n",
    "CR then LF": b"event: x\rdata: 1\n\rdata: 2\n\n",
    "comments": b": ping\n\n:\n\ndata: 1\n\n",
    "blank lines": b"\n\n\r\n\rdata: 1\n\n\n\n\ndata: 2\n\n",
    "all fields": b": c\nid: 7\nevent: delta\nretry: 10\ndata: 1\nfoo: bar\n\n",
    "many data lines": b"data: 1\ndata:2\ndata\ndata:  3\n\n",
    "UTF-8": "data: é😀\n\n".encode(),
    "not UTF-8": b"data: \xff\n\n",
    "empty": b"",
}


def frames_of(data: bytes, size: int, max_event_bytes: int = 1 << 16) -> list[Frame]:
    framer = EventFramer(max_event_bytes)
    frames = [
        frame for at in range(0, len(data), size) for frame in framer.feed(data[at : at + size])
    ]
    return frames + list(framer.close())


@pytest.mark.parametrize("data", STREAMS.values(), ids=STREAMS.keys())
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_frames_do_not_depend_on_the_cut_and_keep_every_byte(data: bytes, size: int) -> None:
    frames = frames_of(data, size)
    assert [f for f in frames if f.data is not None] == [
        f for f in frames_of(data, 10_000) if f.data is not None
    ]
    assert b"".join(f.raw for f in frames) == data


def payloads(data: bytes) -> list[bytes]:
    return [f.data for f in frames_of(data, 1) if f.data is not None]


def test_payloads_of_each_line_end() -> None:
    assert payloads(STREAMS["LF"]) == [b"1", b"2"]
    assert payloads(STREAMS["CRLF"]) == [b"1", b"2"]
    assert payloads(STREAMS["CR"]) == [b"1", b"2"]
    assert payloads(STREAMS["mixed ends"]) == [b"1", b"2", b"3"]
    assert payloads(STREAMS["CR then LF"]) == [b"1", b"2"]
    assert payloads(STREAMS["blank lines"]) == [b"1", b"2"]


def test_fields() -> None:
    (frame,) = frames_of(STREAMS["all fields"], 1)
    assert frame.data == b"1"
    assert frame.name == b"delta"
    assert frame.others == (b": c", b"id: 7", b"retry: 10", b"foo: bar")


def test_the_last_name_counts_and_the_others_are_not_lost() -> None:
    (frame,) = frames_of(b"event: a\nevent: b\ndata: 1\nevent\n\n", 1)
    assert frame.name == b""
    assert frame.others == (b"event: a", b"event: b")


def test_data_lines_are_joined_and_lose_one_space() -> None:
    assert payloads(STREAMS["many data lines"]) == [b"1\n2\n\n 3"]


def test_a_comment_has_no_data() -> None:
    comment, empty, event = frames_of(STREAMS["comments"], 1)
    assert (comment.data, comment.others) == (None, (b": ping",))
    assert (empty.data, empty.others) == (None, (b":",))
    assert event.data == b"1"


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_leading_byte_order_mark_is_dropped(size: int) -> None:
    assert frames_of(b"\xef\xbb\xbfdata: 1\n\n", size) == [Frame(b"data: 1\n\n", b"1")]
    assert payloads(b"data: \xef\xbb\xbf1\n\n") == [b"\xef\xbb\xbf1"]
    assert frames_of(b"\xef\xbb", size) == []
    assert frames_of(b"\xef\xbb\xbf", size) == []


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\n", b"\r"])
def test_an_event_without_its_blank_line_is_completed_at_the_end(tail: bytes) -> None:
    for size in (1, 100):
        *_, last = frames_of(b"data: 1\n\ndata: 2" + tail, size)
        assert last == Frame(b"data: 2\n\n", b"2")


def test_an_event_waits_for_its_blank_line() -> None:
    framer = EventFramer(100)
    assert list(framer.feed(b"data: 1\n")) == []
    assert framer.retained_bytes == 8
    assert [f.data for f in framer.feed(b"\ndata: 2\n\n")] == [b"1", b"2"]
    assert framer.retained_bytes == 0


def test_a_carriage_return_at_the_end_waits_for_its_line_feed() -> None:
    framer = EventFramer(100)
    assert list(framer.feed(b"data: 1\r\n\r")) == []
    assert [f.raw for f in framer.feed(b"\ndata: 2\r\n\r\n")] == [
        b"data: 1\r\n\r\n",
        b"data: 2\r\n\r\n",
    ]


def fill(framer: EventFramer, data: bytes, size: int) -> list[Frame]:
    """Feed in pieces, checking the bound after each."""
    frames: list[Frame] = []
    for at in range(0, len(data), size):
        frames += framer.feed(data[at : at + size])
        assert framer.retained_bytes <= 64
    return frames


@pytest.mark.parametrize("size", [1, 5, 64, 1000])
def test_events_are_bounded(size: int) -> None:
    exact = b"data: " + b"x" * 56 + b"\n\n"
    assert len(exact) == 64
    assert fill(EventFramer(64), exact * 3, size) == [Frame(exact, b"x" * 56)] * 3
    with pytest.raises(EventTooLargeError):
        fill(EventFramer(64), exact + b"data: " + b"x" * 57 + b"\n\n", size)


def test_an_endless_line_is_not_collected() -> None:
    framer = EventFramer(64)
    with pytest.raises(EventTooLargeError):
        fill(framer, b"x" * 100, 1)
    assert framer.retained_bytes == 65
