"""The gRPC server by itself: calls, health, bounds, and the orderly end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from promptward_envoy.descriptors import (
    AUTHORIZATION_SERVICE,
    EXTERNAL_PROCESSOR_SERVICE,
    CheckRequest,
    CheckResponse,
    ProcessingRequest,
    ProcessingResponse,
)
from promptward_envoy.engines import FixedEngine
from promptward_envoy.metrics import Metrics
from promptward_envoy.server import Server, ServerSettings, TlsFiles

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
# What Envoy says of the whole body `{}`.
WHOLE = (("x-envoy-auth-partial-body", "false"), ("content-length", "2"))


def with_server(engine: Any, scenario: Callable[..., Awaitable[None]], **settings: Any) -> None:
    """Run a scenario against a started server and a channel to it."""

    async def run() -> None:
        made = {"drain_s": 0.0, "grace_s": 0.2, "deadline_s": 5.0, **settings}
        server = Server(ServerSettings("127.0.0.1:0", **made), FixedEngine(engine), Metrics())
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                await scenario(server, channel)
        finally:
            await server.drain()

    asyncio.run(run())


async def reasons_of_settlement(engine: Any) -> list[str]:
    """Why exchanges without a response were settled; a cancelled handler settles when it next runs,
    which may be after `drain` has returned."""
    for _ in range(1000):
        if engine.named("on_no_response"):
            break
        await asyncio.sleep(0.005)
    return [call["reason"] for call in engine.named("on_no_response")]


def check(channel: grpc.aio.Channel) -> Any:
    return channel.unary_unary(
        f"/{AUTHORIZATION_SERVICE}/Check", CheckRequest.SerializeToString, CheckResponse.FromString
    )


def process(channel: grpc.aio.Channel) -> Any:
    return channel.stream_stream(
        f"/{EXTERNAL_PROCESSOR_SERVICE}/Process",
        ProcessingRequest.SerializeToString,
        ProcessingResponse.FromString,
    )()


def test_peer_that_fell_silent_is_dropped(engine, monkeypatch) -> None:
    """As after a network cut: the connection is up, and nobody is there."""
    monkeypatch.setattr("promptward_envoy.server.SILENCE_MS", 200)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # empty SETTINGS

    async def scenario(server: Server, _channel: grpc.aio.Channel) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(preface)
        async with asyncio.timeout(20):
            received = await reader.read()  # to the end of the connection
        assert b"ping_timeout" in received
        writer.close()

    with_server(engine, scenario)


def test_check_over_the_wire(engine, messages) -> None:
    async def scenario(_server: Server, channel: grpc.aio.Channel) -> None:
        assert (await check(channel)(messages.check(*WHOLE, body=b"{}"))).HasField("ok_response")

    with_server(engine, scenario)


def test_health_of_every_service_then_draining(engine) -> None:
    async def scenario(server: Server, channel: grpc.aio.Channel) -> None:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", AUTHORIZATION_SERVICE, EXTERNAL_PROCESSOR_SERVICE):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == SERVING
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        answer = await stub.Check(health_pb2.HealthCheckRequest())
        assert answer.status == NOT_SERVING
        await draining

    with_server(engine, scenario, drain_s=0.5)


def test_message_over_the_bound_fails(engine, messages) -> None:
    async def scenario(_server: Server, channel: grpc.aio.Channel) -> None:
        call = process(channel)
        await call.write(messages.request_headers())
        await call.read()
        await call.write(messages.request_body(b"x" * 5000))
        assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    with_server(engine, scenario, max_message_bytes=4096)


def test_stream_that_outlives_the_grace_period_ends_with_an_error(engine, messages) -> None:
    async def scenario(server: Server, channel: grpc.aio.Channel) -> None:
        call = process(channel)
        await call.write(messages.request_headers())
        await call.read()
        await call.write(messages.request_body(b"{}"))
        await call.read()
        await server.drain()
        assert await call.code() is not grpc.StatusCode.OK
        assert await reasons_of_settlement(engine) == ["client_gone"]

    with_server(engine, scenario)


def test_stream_under_way_may_finish_while_draining(engine, messages) -> None:
    async def scenario(server: Server, channel: grpc.aio.Channel) -> None:
        call = process(channel)
        await call.write(messages.request_headers())
        await call.read()
        stub = health_pb2_grpc.HealthStub(channel)
        draining = asyncio.create_task(server.drain())
        while (await stub.Check(health_pb2.HealthCheckRequest())).status == SERVING:
            pass
        await call.write(messages.request_body(b"{}"))
        assert (await call.read()).WhichOneof("response") == "request_body"
        call.cancel()
        await draining

    with_server(engine, scenario, drain_s=0.2, grace_s=5.0)


def test_cancelled_stream_is_settled(engine, messages) -> None:
    async def scenario(server: Server, channel: grpc.aio.Channel) -> None:
        call = process(channel)
        await call.write(messages.request_headers())
        await call.read()
        await call.write(messages.request_body(b"{}"))
        await call.read()
        call.cancel()
        await server.drain()
        assert await reasons_of_settlement(engine) == ["client_gone"]

    with_server(engine, scenario)


def certificate(directory: Path, name: str) -> TlsFiles:
    """A self-signed certificate for 127.0.0.1; it is its own CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = TlsFiles(directory / f"{name}.crt", directory / f"{name}.key")
    files.cert.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@pytest.mark.parametrize("mutual", [False, True])
def test_tls_and_client_certificates(engine, messages, tmp_path, mutual) -> None:
    own, client = certificate(tmp_path, "server"), certificate(tmp_path, "client")
    tls = TlsFiles(own.cert, own.key, client.cert if mutual else None)
    ca, pair = own.cert.read_bytes(), (client.key.read_bytes(), client.cert.read_bytes())
    known = grpc.ssl_channel_credentials(ca, *pair)
    unknown = grpc.ssl_channel_credentials(ca)

    async def answered(port: int, credentials: grpc.ChannelCredentials) -> bool:
        message = messages.check(*WHOLE, body=b"{}")
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
            try:
                return bool((await check(channel)(message, timeout=5)).HasField("ok_response"))
            except grpc.aio.AioRpcError:
                return False

    async def scenario(server: Server, _plain: grpc.aio.Channel) -> None:
        assert await answered(server.port, known)
        assert await answered(server.port, unknown) is not mutual

    with_server(engine, scenario, tls=tls)
