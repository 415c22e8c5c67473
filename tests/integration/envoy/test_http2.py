"""HTTP/2 clients: bodies without a content-length, in pieces, with trailers."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import pytest

from promptward_envoy.testing.stack import HOST, chat_body

pytestmark = pytest.mark.envoy


@dataclass
class Reply:
    status: int = 0
    body: bytes = b""
    reset: bool = False
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)


def ask(port: int, pieces: list[bytes], *, trailers: bool, script: str = "") -> Reply:
    """One request over HTTP/2 with prior knowledge."""
    config = h2.config.H2Configuration(client_side=True)
    connection = h2.connection.H2Connection(config)
    reply = Reply()
    with socket.create_connection((HOST, port), timeout=10) as wire:
        connection.initiate_connection()
        head = [(":method", "POST"), (":path", "/v1/chat/completions"), (":scheme", "http")]
        head += [(":authority", "api.test"), ("content-type", "application/json")]
        connection.send_headers(1, [*head, ("x-script", script)])
        wire.sendall(connection.data_to_send())
        for piece in pieces:
            connection.send_data(1, piece)
            wire.sendall(connection.data_to_send())
        if trailers:
            connection.send_headers(1, [("x-trailer", "SECRET")], end_stream=True)
        else:
            connection.end_stream(1)
        wire.sendall(connection.data_to_send())
        while not read(connection, wire, reply):
            pass
    return reply


def read(connection: h2.connection.H2Connection, wire: socket.socket, reply: Reply) -> bool:
    """Read once; whether the exchange is over."""
    data = wire.recv(65536)
    assert data
    over = False
    for event in connection.receive_data(data):
        if isinstance(event, h2.events.ResponseReceived):
            reply.status = int(dict(event.headers)[b":status"])
        elif isinstance(event, h2.events.DataReceived):
            reply.body += event.data
            connection.acknowledge_received_data(event.flow_controlled_length, 1)
        elif isinstance(event, h2.events.StreamEnded):
            over = True
        elif isinstance(event, h2.events.StreamReset):
            reply.reset = over = True
    wire.sendall(connection.data_to_send())
    return over


@pytest.fixture(scope="module")
def authz(make_stack):
    with make_stack(filters=("ext_authz",)) as made:
        yield made


@pytest.mark.parametrize("trailers", [False, True])
def test_ext_proc_reads_the_whole_body(stack, trailers) -> None:
    body = chat_body("a SECRET b")
    pieces = [body[i : i + 9] for i in range(0, len(body), 9)]
    reply = ask(stack.port, pieces, trailers=trailers, script="redact")
    assert (reply.status, reply.reset) == (200, False)
    assert stack.upstream_bodies()[-1]["messages"][0]["content"] == "a [redacted] b"
    assert b"SECRET" not in reply.body


@pytest.mark.parametrize("trailers", [False, True])
def test_ext_authz_reads_the_whole_body(authz, trailers) -> None:
    body = chat_body("in pieces")
    reply = ask(authz.port, [body[:20], body[20:]], trailers=trailers)
    assert reply.status == 200
    asked = authz.last_event("on_request")
    assert (asked["complete"], asked["body"].encode()) == (True, body)


def test_denied_and_faulty_exchanges_end_their_stream(stack) -> None:
    assert ask(stack.port, [b"{}"], trailers=False, script="deny").status == 403
    assert ask(stack.port, [b"{}"], trailers=False, script="raise").status == 503


def test_stream_over_http2(stack) -> None:
    reply = ask(stack.port, [chat_body("SECRET [[split:500]]", stream=True)], trailers=False)
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert b"SECRET" not in reply.body
