"""What happens to exchanges when service processes die, hang, restart or are too busy."""

from __future__ import annotations

import contextlib
import http.client
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from promptward_envoy.testing.stack import (
    HOST,
    chat_body,
    read_answer,
    start_scripted,
    wait_for,
)

pytestmark = pytest.mark.envoy
FILTERS = [("ext_proc",), ("ext_authz",)]


@contextlib.contextmanager
def open_stream(stack, text: str):
    """A streamed chat whose first bytes have arrived."""
    connection = http.client.HTTPConnection(HOST, stack.port, timeout=15)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", chat_body(text, stream=True))
        response = connection.getresponse()
        assert response.read(10)
        yield response


def read_rest(response) -> tuple[bytes, bool]:
    """The rest of a stream, and whether it was cut."""
    try:
        return response.read(), False
    except (http.client.IncompleteRead, ConnectionError) as error:
        return getattr(error, "partial", b""), True


@pytest.mark.parametrize("filters", FILTERS)
def test_killed_service_passes_nothing(make_stack, filters) -> None:
    with make_stack(filters=filters) as stack:
        assert stack.chat("hello").status == 200
        stack.services[0].kill()
        stack.services[0].wait()
        for _ in range(20):
            answer = stack.chat("SECRET")
            assert answer.status >= 500
            assert b"SECRET" not in answer.body
        assert len(stack.upstream_bodies()) == 1


def test_service_killed_between_request_and_response_shows_nothing(make_stack) -> None:
    with make_stack() as stack, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stack.chat, "SECRET [[think:400]]")
        wait_for("the upstream to be asked", stack.upstream_bodies)
        stack.services[0].kill()
        answer = waiting.result()
        assert answer.status >= 500
        assert b"SECRET" not in answer.body


def test_service_killed_in_mid_stream_cuts_the_stream(make_stack) -> None:
    with make_stack() as stack:
        with open_stream(stack, "SECRET [[split:500]] [[repeat:1]] [[slow:100]]") as response:
            stack.services[0].kill()
            rest, cut = read_rest(response)
        assert cut
        assert b"SECRET" not in rest


@pytest.mark.parametrize("filters", FILTERS)
def test_hanging_service_passes_nothing(make_stack, filters) -> None:
    """SIGSTOP: the connection stays up and nothing answers."""
    with make_stack(filters=filters, message_timeout_s=0.5) as stack:
        stack.services[0].send_signal(signal.SIGSTOP)
        answer = stack.chat("SECRET")
        assert answer.status >= 500
        assert stack.upstream_bodies() == []


def test_service_that_hangs_in_mid_stream_is_reset_by_keepalive(make_stack) -> None:
    """Full duplex has no message timeout."""
    with make_stack(keepalive_s=0.5) as stack:
        with open_stream(stack, "SECRET [[split:500]] [[repeat:1]] [[slow:100]]") as response:
            stack.services[0].send_signal(signal.SIGSTOP)
            started = time.monotonic()
            rest, cut = read_rest(response)
        assert cut
        assert b"SECRET" not in rest
        assert time.monotonic() - started < 5


def test_drain_finishes_streams_and_loses_no_request(make_stack) -> None:
    """SIGTERM to one of two workers under load: every request is answered as usual."""
    with make_stack(workers=2) as stack:
        stop = threading.Event()
        statuses: list[int] = []

        def load() -> None:
            while not stop.is_set():
                statuses.append(stack.chat("hello").status)

        with ThreadPoolExecutor(3) as pool:
            streams = [
                pool.submit(stack.chat, "x [[repeat:1]] [[split:64]] [[slow:100]]", stream=True)
                for _ in range(4)
            ]
            wait_for("streams", lambda: len(stack.upstream_bodies()) >= 3)
            stack.services[0].send_signal(signal.SIGTERM)
            running = [pool.submit(load) for _ in range(2)]
            stack.services[0].wait(15)
            seen = len(statuses)
            wait_for("requests after the end", lambda: len(statuses) > seen + 20)
            stop.set()
            for future in running:
                future.result()
            answers = [stream.result() for stream in streams]
        assert stack.services[0].returncode == 0
        assert set(statuses) == {200}
        assert all(a.status == 200 and a.body.endswith(b"[DONE]\n\n") for a in answers)


def test_restarted_service_is_used_again(make_stack) -> None:
    with make_stack() as stack:
        stack.services[0].kill()
        stack.services[0].wait()
        assert stack.chat("hello").status >= 500
        process = start_scripted(stack.directory)
        stack.services.append(process)
        try:
            wait_for("a request to pass", lambda: stack.chat("hello").status == 200)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_survivor_of_two_takes_over(make_stack) -> None:
    with make_stack(workers=2) as stack:
        stack.services[0].kill()
        stack.services[0].wait()

        def twenty_in_a_row() -> bool:
            return all(stack.chat("hello").status == 200 for _ in range(20))

        wait_for("the dead endpoint to be out", twenty_in_a_row)


def test_concurrent_exchanges_do_not_mix(make_stack) -> None:
    with make_stack() as stack, ThreadPoolExecutor(16) as pool:

        def one(number: int) -> tuple[str, bytes]:
            stream = number % 2 == 1
            answer = stack.chat(f"SECRET-{number}-end [[split:3]]", stream=stream)
            assert answer.status == 200
            return f"-{number}-end", answer.body

        for marker, body in pool.map(one, range(200)):
            assert b"SECRET" not in body
            if b"chat.completion.chunk" not in body:
                assert marker.encode() in body


def test_more_exchanges_than_the_bound_are_refused_not_queued(make_stack) -> None:
    """The scripted service takes 64; these wait for the upstream."""
    with make_stack() as stack, ThreadPoolExecutor(80) as pool:
        answers = list(pool.map(lambda _: stack.chat("x [[think:700]]"), range(80)))
        statuses = sorted(a.status for a in answers)
        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= 60
        refused = [a.json["error"]["code"] for a in answers if a.status == 503]
        assert set(refused) == {"overloaded"}


def test_pipelined_connection_survives_a_fault(make_stack) -> None:
    with make_stack() as stack:
        connection = http.client.HTTPConnection(HOST, stack.port, timeout=5)
        with contextlib.closing(connection):
            seen = []
            for script in ("raise", "", "raise", ""):
                connection.request(
                    "POST", "/v1/chat/completions", chat_body("x"), {"x-script": script}
                )
                seen.append(read_answer(connection).status)
        assert seen == [503, 200, 503, 200]
