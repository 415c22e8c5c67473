"""From a Redis URL to a transport.

    redis://[user:password@]host:port[/db]         rediss:// for TLS
    unix:///path/of/socket[?db=0]
    redis+cluster://[user:password@]host:port      rediss+cluster:// for TLS
    redis+sentinel://[user:password@]host:port[,host:port...]/service[/db]   rediss+sentinel://

Query options: `prefix` (first part of every key, default `pw`) and, with TLS, `ssl_ca_certs`,
`ssl_certfile`, `ssl_keyfile`; certificates are always verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from redis.sentinel import Sentinel

from promptward.errors import PolicyError
from promptward_ports.ledgers.redis_endpoint import parse_endpoint
from promptward_ports.ledgers.redis_transport import (
    BlockingTransport,
    DirectTransport,
    PipelinedTransport,
    SuspendingTransport,
    Transport,
    port_error,
)

SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+cluster",
    "rediss+cluster",
    "redis+sentinel",
    "rediss+sentinel",
)
OPTIONS = ("prefix", "db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
REPEATS = 1
"""A pooled connection may have been closed while idle; one fresh one is worth trying."""
DEFAULT_SENTINEL_PORT = 26_379


@dataclass(frozen=True, slots=True)
class RedisTarget:
    """A parsed ledger URL.

    Attributes:
        deployment: `single`, `cluster` or `sentinel`.
        url: what redis-py understands; for Sentinel only the options count.
        sentinels: addresses of Sentinels.
        service: the master's name at the Sentinels.
        options: keyword arguments for connections.
    """

    deployment: str
    url: str
    prefix: str
    sentinels: tuple[tuple[str, int], ...]
    service: str
    options: dict[str, Any]


def parse_redis_url(url: str) -> RedisTarget:
    """Split a ledger URL.

    Raises:
        PolicyError: it is not one of the forms above.
    """
    parts = urlsplit(url)
    scheme, plus, deployment = parts.scheme.partition("+")
    if parts.scheme not in SCHEMES:
        raise PolicyError(f"ledger: unknown scheme {parts.scheme!r}, expected one of {SCHEMES}")
    query = dict(parse_qsl(parts.query))
    unknown = sorted(set(query) - set(OPTIONS))
    if unknown:
        raise PolicyError(f"ledger: unknown URL options {unknown}, expected {list(OPTIONS)}")
    prefix = query.pop("prefix", "pw")
    if not prefix or set(prefix) & set("{}*?[]\\: "):
        raise PolicyError("ledger: prefix must not be empty or hold any of {}*?[]\\: and space")
    options: dict[str, Any] = {k: v for k, v in query.items() if k != "db"}
    base = f"{scheme}://{parts.netloc}"
    if not plus:
        db = f"?db={query['db']}" if "db" in query else ""
        return RedisTarget("single", f"{base}{parts.path}{db}", prefix, (), "", options)
    if deployment == "cluster":
        return RedisTarget("cluster", base, prefix, (), "", options)
    return _sentinel_target(url, prefix, options)


def _sentinel_target(url: str, prefix: str, options: dict[str, Any]) -> RedisTarget:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    service, _, db = parts.path.lstrip("/").partition("/")
    if not service or not hosts or (db and not db.isdigit()):
        raise PolicyError("ledger: expected redis+sentinel://host:port,host:port/service/db")
    if credentials:
        user, _, password = credentials.partition(":")
        options |= {"username": unquote(user) or None, "password": unquote(password)}
    if parts.scheme.startswith("rediss"):
        options["ssl"] = True
    options["db"] = int(db or 0)
    return RedisTarget("sentinel", "", prefix, _addresses(hosts), service, options)


def _addresses(hosts: str) -> tuple[tuple[str, int], ...]:
    addresses = []
    for address in hosts.split(","):
        host, _, port = address.partition(":")
        if not host or (port and not port.isdigit()):
            raise PolicyError(f"ledger: {address!r} is not host:port")
        addresses.append((host, int(port or DEFAULT_SENTINEL_PORT)))
    return tuple(addresses)


def connect_blocking(target: RedisTarget, timeout_s: float) -> Transport:
    """A transport for hosts without an event loop. Connects on first use; to a cluster, now.

    Raises:
        PortError: the cluster does not answer.
    """
    options = _timeouts(timeout_s) | target.options
    retry = Retry(NoBackoff(), REPEATS, supported_errors=(RedisConnectionError,))
    if target.deployment == "cluster":
        try:
            return BlockingTransport(redis.RedisCluster.from_url(target.url, **options))
        except (redis.RedisError, OSError) as error:
            raise port_error(error) from error
    if target.deployment == "sentinel":
        sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
            target.sentinels, sentinel_kwargs=_timeouts(timeout_s)
        )
        return BlockingTransport(sentinel.master_for(target.service, retry=retry, **options))
    endpoint = parse_endpoint(target.url, target.options)
    client = redis.Redis.from_url(target.url, retry=retry, **options)
    return DirectTransport(client, endpoint, timeout_s)


def connect_suspending(target: RedisTarget, timeout_s: float) -> Transport:
    """A transport for asyncio hosts. Connects on first use."""
    options = _timeouts(timeout_s) | target.options
    retry = AsyncRetry(NoBackoff(), REPEATS, supported_errors=(RedisConnectionError,))
    if target.deployment == "cluster":
        return SuspendingTransport(redis.asyncio.RedisCluster.from_url(target.url, **options))
    if target.deployment == "sentinel":
        sentinel: Any = AsyncSentinel(  # type: ignore[no-untyped-call]
            target.sentinels, sentinel_kwargs=_timeouts(timeout_s)
        )
        master = sentinel.master_for(target.service, retry=retry, **options)
        return SuspendingTransport(master, sentinel.sentinels)
    endpoint = parse_endpoint(target.url, target.options)
    client = redis.asyncio.Redis.from_url(target.url, retry=retry, **options)
    return PipelinedTransport(client, endpoint, timeout_s)


def _timeouts(timeout_s: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "encoding_errors": "surrogatepass",
    }
