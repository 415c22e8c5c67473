"""Where a single Redis listens and how to greet it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any

from redis.connection import parse_url

from promptward.errors import PolicyError
from promptward_ports.ledgers.resp import encode_command

DEFAULT_PORT = 6379


@dataclass(frozen=True, slots=True)
class RedisEndpoint:
    """One server.

    Attributes:
        path: Unix socket; empty for TCP.
        greeting: commands to send first, each answered with OK; holds the password.
    """

    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None
    greeting: tuple[bytes, ...] = field(repr=False)


def parse_endpoint(url: str, options: dict[str, Any]) -> RedisEndpoint:
    """The endpoint of a `redis://`, `rediss://` or `unix://` URL.

    Raises:
        PolicyError: the URL or a certificate file is unusable.
    """
    try:
        parts: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
        tls = _tls(options) if url.startswith("rediss:") else None
    except (ValueError, OSError) as error:
        raise PolicyError(f"ledger: the Redis URL is unusable: {type(error).__name__}") from error
    greeting = []
    if parts.get("password"):
        names = (
            (parts["username"], parts["password"])
            if parts.get("username")
            else (parts["password"],)
        )
        greeting.append(encode_command(b"AUTH", *(name.encode() for name in names)))
    if parts.get("db"):
        greeting.append(encode_command(b"SELECT", b"%d" % parts["db"]))
    return RedisEndpoint(
        parts.get("host") or "localhost",
        parts.get("port") or DEFAULT_PORT,
        parts.get("path") or "",
        tls,
        tuple(greeting),
    )


def _tls(options: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context
