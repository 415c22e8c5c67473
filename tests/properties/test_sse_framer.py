"""The framer's law: any cut, the same frames, every byte accounted for, bounded."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from promptward.stream.framer import EventFramer, EventTooLargeError, Frame

BYTES = st.lists(
    st.sampled_from(
        [b"\n", b"\r", b"\r\n", b"\n\n", b"data: x", b"data:", b"event: e", b"id: 1", b": c"]
        + [b"\xef\xbb\xbf", b"\xef", b"\xff", "é".encode(), b" ", b"data", b"retry: 5", b"x"]
    ),
    max_size=30,
).map(b"".join)


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """`data` in pieces, empty ones included."""
    at = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    edges = [0, *at, len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def frames_of(pieces: list[bytes], most: int = 1 << 16) -> tuple[list[Frame], bool]:
    """The frames, and whether an event was too large."""
    framer = EventFramer(most)
    frames: list[Frame] = []
    try:
        for piece in pieces:
            frames.extend(framer.feed(piece))  # keeps what comes before an error
            assert framer.retained_bytes <= most
        frames += framer.close()
    except EventTooLargeError:
        return frames, True
    return frames, False


@given(st.data(), BYTES)
@example(None, b"data: 1\r\n\r\ndata: 2\r\r")
def test_frames_do_not_depend_on_the_cut(data: st.DataObject | None, stream: bytes) -> None:
    whole = frames_of([stream])
    assert frames_of([stream[i : i + 1] for i in range(len(stream))]) == whole
    if data is not None:
        assert frames_of(data.draw(cuts(stream))) == whole


@given(st.data(), BYTES, st.integers(16, 60))
def test_neither_do_they_at_the_bound(data: st.DataObject, stream: bytes, most: int) -> None:
    whole = frames_of([stream], most)
    assert frames_of([stream[i : i + 1] for i in range(len(stream))], most) == whole
    assert frames_of(data.draw(cuts(stream)), most) == whole


@given(BYTES)
def test_every_byte_is_in_a_frame(stream: bytes) -> None:
    frames, _ = frames_of([stream])
    joined = b"".join(f.raw for f in frames)
    expected = stream.removeprefix(b"\xef\xbb\xbf")
    if expected in (b"\xef", b"\xef\xbb"):
        expected = b""
    assert joined == expected or joined == expected.rstrip(b"\r\n") + b"\n\n"


def reference(stream: bytes) -> list[tuple[bytes, bytes]]:
    """(name, data) of every event: the standard's own algorithm, line by line."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[tuple[bytes, bytes]] = []
    name = b""
    lines: list[bytes] = []
    for line in [*text.split(b"\n"), b""]:
        if not line:
            if lines:
                events.append((name, b"\n".join(lines)))
            name, lines = b"", []
            continue
        key, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if key == b"data":
            lines.append(value)
        elif key == b"event":
            name = value
    return events


@given(BYTES)
def test_events_are_the_standards(stream: bytes) -> None:
    frames, _ = frames_of([stream])
    assert [(f.name, f.data) for f in frames if f.data is not None] == reference(stream)
