import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptward_kong.wire import FrameReader, RpcRequest, WireError, pack, pack_error, pack_result


def packed(*message):
    return msgpack.packb(list(message), unicode_errors="surrogateescape")


@given(st.lists(st.integers(1, 40), max_size=12), st.integers(0, 300))
def test_requests_are_read_whatever_the_cut(cuts, size):
    data = packed(0, 1, "plugin.Step", [{"EventId": 7, "Data": b"\xff" * size}])
    data += packed(0, 2, "plugin.GetStatus", [])
    reader, found, at = FrameReader(1 << 20), [], 0
    for cut in [*cuts, len(data)]:
        found += reader.feed(data[at : at + cut])
        at += cut
    found += reader.feed(data[at:])
    assert [(r.id, r.method) for r in found] == [(1, "plugin.Step"), (2, "plugin.GetStatus")]
    assert found[0].argument == {"EventId": 7, "Data": b"\xff" * size}


def test_octets_that_are_not_utf8_survive_both_ways():
    odd = b"\xff\x80abc".decode("utf-8", "surrogateescape")
    (request,) = FrameReader(1000).feed(packed(0, 1, "plugin.Step", [odd]))
    assert request == RpcRequest(1, "plugin.Step", odd)
    assert b"\xff\x80abc" in pack(odd)


@pytest.mark.parametrize("values", [["plugin.CloseInstance"], ["a", "b"], [""], []])
def test_a_header_that_kong_takes_for_a_method_is_no_method(values):
    step = {"EventId": 7, "Data": {"_method": values}}
    (request,) = FrameReader(1 << 20).feed(packed(0, 5, values, [step]))
    assert request == RpcRequest(5, "plugin.Step", step)


def test_a_message_over_the_limit_still_names_its_id():
    reader = FrameReader(1000)
    data = packed(0, 77_000, "plugin.Step", ["x" * 5000])
    pieces = (data[at : at + 7] for at in range(0, len(data), 7))
    with pytest.raises(WireError, match="too large") as caught:
        [request for piece in pieces for request in reader.feed(piece)]
    assert caught.value.message_id == 77_000


def test_a_message_far_over_the_limit_at_once_still_names_its_id():
    reader = FrameReader(1000)
    list(reader.feed(packed(0, 1, "plugin.GetStatus", [])))
    with pytest.raises(WireError) as caught:
        list(reader.feed(packed(0, 2, "plugin.Step", ["x" * (3 << 20)])))
    assert caught.value.message_id == 2


@pytest.mark.parametrize(
    ("data", "message_id"),
    [
        (b"\xc1", None),  # never used in MessagePack
        (packed(1, 5, None, None), 5),
        (packed(0, 5, "m", [1, 2]), 5),
        (packed(0, 5, 6, [1]), 5),
        (packed(0, 5, ["m"], [1]), 5),
        (packed("x"), None),
        (msgpack.packb("GET / HTTP/1.1"), None),
        (packed(0, 9, "m", [])[:-1] + b"\xc1", 9),
        (b"\x94\x00\x05" + b"\x91" * 5000, 5),  # nested too deeply
    ],
)
def test_what_is_no_request_is_an_error(data, message_id):
    with pytest.raises(WireError) as caught:
        list(FrameReader(1 << 20).feed(data))
    assert caught.value.message_id == message_id


def test_the_buffer_is_given_back_after_a_large_message():
    reader = FrameReader(64 << 20)
    before = reader._unpacker
    assert len(list(reader.feed(packed(0, 1, "m", [b"x" * (2 << 20)])))) == 1
    assert reader._unpacker is not before
    assert len(list(reader.feed(packed(0, 2, "m", [b"y"])))) == 1


def test_answers():
    assert msgpack.unpackb(pack_result(3, {"a": 1})) == [1, 3, None, {"a": 1}]
    assert msgpack.unpackb(pack_error(3, "no")) == [1, 3, "no", None]
    for value in (object(), 2**70, "\ud800"):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            pack(value)
