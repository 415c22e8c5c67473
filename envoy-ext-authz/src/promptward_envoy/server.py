"""One gRPC server with both services, health and reflection, and its orderly end.

Stopping: NOT_SERVING, so that health checks take this endpoint out → wait longer than two of
their intervals → refuse new calls and let streams finish → end. Whatever still runs after the
grace period is cancelled, which Envoy sees as a failed stream (fail closed).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from promptward_envoy.admission import Admission
from promptward_envoy.descriptors import (
    AUTHORIZATION_SERVICE,
    EXTERNAL_PROCESSOR_SERVICE,
    POOL,
    CheckRequest,
    CheckResponse,
    Message,
    ProcessingRequest,
    ProcessingResponse,
)
from promptward_envoy.engines import EngineSource
from promptward_envoy.ext_authz import Authorizer
from promptward_envoy.ext_proc import Processor
from promptward_envoy.metrics import Metrics
from promptward_envoy.offload import SideThread

_SERVICES = (AUTHORIZATION_SERVICE, EXTERNAL_PROCESSOR_SERVICE)
_HEALTH_NAMES = ("", *_SERVICES)

SILENCE_MS = 5000
"""After this long without a byte a peer is sent a PING; it has as long again to answer."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files, read when the server starts; a new certificate needs a restart.

    Attributes:
        cert: certificate chain of the server.
        key: its private key.
        client_ca: client certificates must be signed by it; None asks for none.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """What the port is secured with.

        Raises:
            OSError: a file cannot be read.
        """
        pair = (self.key.read_bytes(), self.cert.read_bytes())
        if self.client_ca is None:
            return grpc.ssl_server_credentials([pair])
        return grpc.ssl_server_credentials([pair], self.client_ca.read_bytes(), True)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Bounds of one server.

    Attributes:
        address: `host:port` (port 0 picks one) or `unix:/path`.
        max_message_bytes: largest gRPC message, and largest size a compressed response may grow
            to; must exceed Envoy's buffer limit.
        max_in_flight: exchanges worked on at once; more are refused with 503.
        deadline_s: most time for one decision or one message, in seconds.
        drain_s: time between NOT_SERVING and refusing calls; longer than two health intervals.
        grace_s: time streams get to finish after that.
        tls: serve over TLS; None in the clear.
    """

    address: str
    max_message_bytes: int = 16 * 1024 * 1024
    max_in_flight: int = 1000
    deadline_s: float = 5.0
    drain_s: float = 1.5
    grace_s: float = 30.0
    tls: TlsFiles | None = None


class Server:
    """The running server. Start with `start`, end with `drain`."""

    def __init__(self, settings: ServerSettings, engines: EngineSource, metrics: Metrics) -> None:
        self._settings = settings
        self._admission = Admission(settings.max_in_flight, metrics.in_flight)
        deadline_s, most = settings.deadline_s, settings.max_message_bytes
        aside = SideThread(self._admission, metrics.large, deadline_s)
        self._authorizer = Authorizer(engines, self._admission, metrics, deadline_s, aside)
        self._processor = Processor(engines, self._admission, metrics, deadline_s, most, aside)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._server = grpc.aio.server(options=_options(settings))
        self.port = 0

    async def start(self) -> None:
        """Bind and serve; health turns SERVING once calls are answered.

        Raises:
            RuntimeError: the address cannot be bound, or the certificate does not fit its key.
            OSError: a TLS file cannot be read.
        """
        self._server.add_generic_rpc_handlers(self._handlers())
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names: Sequence[str] = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server, POOL)
        address, tls = self._settings.address, self._settings.tls
        if tls is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, tls.credentials())
        await self._server.start()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)

    async def drain(self) -> None:
        """The orderly end; returns when every stream and every settlement is over."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._settings.drain_s)
        await self._server.stop(self._settings.grace_s)
        await self._admission.settled()

    async def wait(self) -> None:
        """Wait until the server has ended."""
        await self._server.wait_for_termination()

    async def _set_health(self, status: int) -> None:
        for name in _HEALTH_NAMES:
            await self._health.set(name, status)

    def _handlers(self) -> tuple[grpc.GenericRpcHandler[Message, Message], ...]:
        check = grpc.unary_unary_rpc_method_handler(
            self._authorizer.check, CheckRequest.FromString, CheckResponse.SerializeToString
        )
        process = grpc.stream_stream_rpc_method_handler(
            self._processor.process,
            ProcessingRequest.FromString,
            ProcessingResponse.SerializeToString,
        )
        return (
            grpc.method_handlers_generic_handler(AUTHORIZATION_SERVICE, {"Check": check}),
            grpc.method_handlers_generic_handler(EXTERNAL_PROCESSOR_SERVICE, {"Process": process}),
        )


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Two workers must never share a port: SO_REUSEPORT does not balance, because Envoy opens
        # one HTTP/2 connection for each of its own workers.
        ("grpc.so_reuseport", 0),
        # Envoy multiplexes every exchange of one of its workers over one connection.
        ("grpc.max_concurrent_streams", 2 * settings.max_in_flight),
        # Envoy's PINGs are wanted (see bootstrap); by default grpc drops peers that ping often.
        ("grpc.http2.min_ping_interval_without_data_ms", 100),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        # And ours: a connection that a network cut has left half open ends, with its streams; a
        # stopping process would wait for them. The last one is what counts (measured with 1.85:
        # without it a silent peer is kept for 60 s); the one before is for the kernel.
        ("grpc.keepalive_time_ms", SILENCE_MS),
        ("grpc.keepalive_timeout_ms", SILENCE_MS),
        ("grpc.http2.ping_timeout_ms", SILENCE_MS),
    ]
