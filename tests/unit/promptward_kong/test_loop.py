import socket
import threading

import pytest

from promptward_kong.loop import Channel, Loop


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pair(loop):
    ours, theirs = socket.socketpair()
    got, closed = [], []
    channel = Channel(loop, ours, got.append, lambda: closed.append(True))
    yield channel, theirs, got, closed
    channel.close()
    theirs.close()


def turns(loop, condition, limit=2000):
    loop.every(0.005, lambda: None)
    for _ in range(limit):
        if condition():
            return
        loop.turn()
    raise AssertionError("never")


def test_bytes_arrive(loop, pair):
    _, theirs, got, _ = pair
    theirs.sendall(b"abc")
    turns(loop, lambda: got == [b"abc"])


def test_a_large_send_is_queued_and_arrives_whole(loop, pair):
    channel, theirs, _, _ = pair
    data = bytes(range(256)) * 20_000
    received = bytearray()

    def read():
        while len(received) < len(data):
            received.extend(theirs.recv(65536))

    thread = threading.Thread(target=read)
    channel.send(data[:1_000_000])
    channel.send(data[1_000_000:])
    thread.start()
    turns(loop, lambda: not thread.is_alive(), 100_000)
    assert bytes(received) == data


def test_close_is_told_once(loop, pair):
    channel, theirs, _, closed = pair
    theirs.close()
    turns(loop, lambda: closed)
    channel.close()
    channel.send(b"x")
    assert closed == [True]
    assert channel.closed


def test_finish_sends_the_rest_and_swallows_what_comes(loop, pair):
    channel, theirs, got, closed = pair
    channel.send(b"last words")
    channel.finish()
    theirs.sendall(b"ignored" * 1000)
    turns(loop, lambda: True)
    assert theirs.recv(100) == b"last words"
    assert theirs.recv(100) == b""
    theirs.close()
    turns(loop, lambda: closed)
    assert got == []


def test_a_callback_that_raises_closes_its_channel_only(loop, pair):
    channel, theirs, _, closed = pair
    channel.on_data = lambda data: 1 / 0
    theirs.sendall(b"x")
    turns(loop, lambda: closed)
    assert channel.closed


def test_soon_and_every_run_from_the_loop():
    now_s = [0.0]
    loop = Loop(lambda: now_s[0])
    ran = []
    loop.every(1.0, lambda: ran.append("tick"))
    loop.soon(lambda: ran.append("soon"))
    assert ran == []
    loop.turn()
    assert ran == ["soon"]
    now_s[0] = 1.0
    loop.turn()
    assert ran == ["soon", "tick"]
    loop.close()
