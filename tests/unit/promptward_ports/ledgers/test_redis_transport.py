"""The two direct transports against a scripted server: closed, hanging and nonsensical peers."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from promptward.errors import PortError
from promptward.sync import run_sync
from promptward_ports.ledgers.redis_connect import (
    connect_blocking,
    connect_suspending,
    parse_redis_url,
)
from promptward_ports.ledgers.redis_protocol import RedisProtocol, Reply
from promptward_ports.ledgers.redis_transport import Transport

TIMEOUT_S = 0.3
CALL = RedisProtocol().sweep("tag", None)

Serve = Callable[[socket.socket], None]


@contextmanager
def server(*connections: Serve) -> Iterator[str]:
    """A peer that serves its first connection with the first function, and so on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def run() -> None:
            for serve in connections:
                peer, _ = listener.accept()
                with peer:
                    peer.settimeout(10)
                    serve(peer)

        thread = threading.Thread(target=run)
        thread.start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)
        assert not thread.is_alive()


def answer(*replies: bytes) -> Serve:
    def serve(peer: socket.socket) -> None:
        for reply in replies:
            assert peer.recv(65_536)
            peer.sendall(reply)

    return serve


def answer_then_hang(peer: socket.socket) -> None:
    answer(b":1\r\n")(peer)
    hang(peer)


def hang(peer: socket.socket) -> None:
    assert peer.recv(65_536)
    assert peer.recv(1) == b""  # until the client gives up


FAILED = "PortError"
Ask = Callable[[str, int], list[Reply | str]]


def asking(kind: str) -> Ask:
    """Makes `count` calls one after the other on one transport; FAILED for those that did."""

    async def calls(url: str, count: int) -> list[Reply | str]:
        connect = connect_blocking if kind == "blocking" else connect_suspending
        transport: Transport = connect(parse_redis_url(url), TIMEOUT_S)
        try:
            replies: list[Reply | str] = []
            for number in range(count):
                if number and kind != "blocking":
                    await asyncio.sleep(0.01)  # let the loop notice what the peer did
                try:
                    replies.append(await transport.evaluate(CALL))
                except PortError:
                    replies.append(FAILED)
            return replies
        finally:
            await transport.close()

    drive: Callable[[Coroutine[Any, Any, list[Reply | str]]], list[Reply | str]]
    drive = {"blocking": run_sync, "suspending": asyncio.run, "uvloop": uvloop.run}[kind]
    return lambda url, count: drive(calls(url, count))


@pytest.fixture(params=["blocking", "suspending", "uvloop"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return asking(request.param)


def test_a_reply_comes_back(ask: Ask) -> None:
    with server(answer(b":7\r\n", b"$2\r\nok\r\n")) as url:
        assert ask(url, 2) == [7, b"ok"]


def test_a_connection_closed_while_idle_is_replaced(ask: Ask) -> None:
    with server(answer(b":1\r\n"), answer(b":2\r\n")) as url:
        assert ask(url, 2) == [1, 2]


def test_a_connection_that_fell_silent_is_replaced_within_the_timeout(ask: Ask) -> None:
    start = time.monotonic()
    with server(answer_then_hang, answer(b":2\r\n")) as url:
        assert ask(url, 2) == [1, 2]
    assert time.monotonic() - start >= TIMEOUT_S / 2


def test_a_server_that_falls_silent_for_good_is_given_up_on(ask: Ask) -> None:
    with server(answer_then_hang, hang) as url:
        assert ask(url, 2) == [1, FAILED]


def test_a_script_the_server_forgot_is_sent_again(ask: Ask) -> None:
    def forgetful(peer: socket.socket) -> None:
        assert b"EVALSHA" in peer.recv(65_536)
        peer.sendall(b"-NOSCRIPT No matching script. Please use EVAL.\r\n")
        received = b""
        while b"operations" not in received:
            received += peer.recv(65_536)
        peer.sendall(b":1\r\n")

    with server(forgetful) as url:
        assert ask(url, 1) == [1]


def test_a_server_that_hangs_is_given_up_on(ask: Ask) -> None:
    start = time.monotonic()
    with server(hang) as url:
        assert ask(url, 1) == [FAILED]
    assert TIMEOUT_S <= time.monotonic() - start < 20 * TIMEOUT_S


def test_a_late_reply_answers_nobody_else(ask: Ask) -> None:
    # Given up on, the connection is gone; the next call starts on a new one.
    with server(hang, answer(b":2\r\n")) as url:
        assert ask(url, 2) == [FAILED, 2]


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-LOADING dataset\r\n", b"-READONLY x\r\n"]
)
def test_other_answers_are_port_errors(ask: Ask, reply: bytes) -> None:
    with server(answer(reply)) as url:
        assert ask(url, 1) == [FAILED]


def test_nobody_listening_is_a_port_error(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
    assert ask(url, 1) == [FAILED]


def test_calls_in_flight_share_a_connection_and_keep_their_order() -> None:
    def serve(peer: socket.socket) -> None:
        received = b""
        while received.count(b"EVALSHA") < 3:
            received += peer.recv(65_536)
        peer.sendall(b":1\r\n:2\r\n:3\r\n")

    async def three(url: str) -> list[Reply]:
        transport = connect_suspending(parse_redis_url(url), TIMEOUT_S)
        try:
            return list(await asyncio.gather(*(transport.evaluate(CALL) for _ in range(3))))
        finally:
            await transport.close()

    with server(serve) as url:
        assert asyncio.run(three(url)) == [1, 2, 3]


def test_a_cancelled_call_does_not_shift_the_replies() -> None:
    cancelled = threading.Event()

    async def cancel_first() -> Reply:
        sent, loop = asyncio.Event(), asyncio.get_running_loop()

        def serve(peer: socket.socket) -> None:
            received = b""
            while received.count(b"EVALSHA") < 2:
                received += peer.recv(65_536)
            loop.call_soon_threadsafe(sent.set)
            assert cancelled.wait(10)
            peer.sendall(b":1\r\n:2\r\n")

        with server(serve) as url:
            transport = connect_suspending(parse_redis_url(url), 10)
            first = asyncio.create_task(transport.evaluate(CALL))
            second = asyncio.create_task(transport.evaluate(CALL))
            await sent.wait()
            first.cancel()
            cancelled.set()
            try:
                return await second
            finally:
                await transport.close()

    assert asyncio.run(cancel_first()) == 2


def test_threads_share_connections_without_mixing_replies() -> None:
    def echo(peer: socket.socket) -> None:
        while data := peer.recv(65_536):
            number = data.rpartition(b"$")[2].split(b"\r\n")[1]
            peer.sendall(b"$%d\r\n%b\r\n" % (len(number), number))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        serving: list[threading.Thread] = []
        stop = threading.Event()

        def accept() -> None:
            while not stop.is_set():
                peer, _ = listener.accept()
                if stop.is_set():
                    peer.close()
                    return
                serving.append(threading.Thread(target=serve, args=(peer,)))
                serving[-1].start()

        def serve(peer: socket.socket) -> None:
            with peer:
                peer.settimeout(10)
                echo(peer)

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        address = listener.getsockname()
        transport = connect_blocking(parse_redis_url(f"redis://127.0.0.1:{address[1]}"), 5)
        wrong: list[object] = []

        def work(name: int) -> None:
            for number in range(50):
                tag = b"%d" % (name * 1000 + number)
                call = replace(CALL, args=(*CALL.args, tag))
                reply = run_sync(transport.evaluate(call))
                if reply != tag:
                    wrong.append(reply)

        workers = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        run_sync(transport.close())
        stop.set()
        socket.create_connection(address).close()
        for thread in (acceptor, *serving):
            thread.join(10)
    assert wrong == []
    assert 1 <= len(serving) <= 8
