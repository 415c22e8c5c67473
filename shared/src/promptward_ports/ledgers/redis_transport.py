"""Connections to Redis: blocking ones for Kong and the CLI, suspending ones for asyncio hosts.

Invariants: every call has a timeout; only PortError leaves this file; the script is loaded again
when a server does not know it (restart, failover). A call is repeated once on a fresh connection
when the old one turns out to be closed: the script is idempotent by request id.

URLs (`open_transport`):
    redis://[user:password@]host:port/db      rediss:// for TLS (ca, cert, key, verify: see below)
    unix:///path/of/socket?db=0
    redis+cluster://host:port                 rediss+cluster:// for TLS
    redis+sentinel://host:port,host:port/service/db
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import redis
import redis.asyncio
from redis.exceptions import NoScriptError, RedisError

from promptward.errors import PortError
from promptward_ports.ledgers.redis_protocol import SCRIPT, SCRIPT_SHA, Call, Reply


class Transport(Protocol):
    """One Redis deployment."""

    async def evaluate(self, call: Call) -> Reply:
        """Run the ledger's script.

        Raises:
            PortError: Redis failed or timed out.
        """
        ...

    async def scan(self, pattern: str, at_most: int) -> Sequence[str]:
        """Keys that match, on every node.

        Raises:
            PortError: Redis failed or timed out.
        """
        ...

    async def close(self) -> None: ...


class BlockingTransport:
    """A `redis.Redis` or `redis.RedisCluster` behind coroutines that never suspend."""

    def __init__(self, client: redis.Redis | redis.RedisCluster) -> None:
        self._client: Any = client

    async def evaluate(self, call: Call) -> Reply:
        try:
            try:
                reply = self._client.evalsha(SCRIPT_SHA, len(call.keys), *call.keys, *call.args)
            except NoScriptError:
                reply = self._client.eval(SCRIPT, len(call.keys), *call.keys, *call.args)
        except (RedisError, OSError, UnicodeError) as error:
            raise port_error(error) from error
        return cast(Reply, reply)

    async def scan(self, pattern: str, at_most: int) -> Sequence[str]:
        keys: list[str] = []
        try:
            for key in self._client.scan_iter(match=pattern, count=1000):
                keys.append(key.decode())
                if len(keys) >= at_most:
                    break
        except (RedisError, OSError, UnicodeError) as error:
            raise port_error(error) from error
        return keys

    async def close(self) -> None:
        self._client.close()


class SuspendingTransport:
    """A `redis.asyncio` client; must be used from one event loop."""

    def __init__(self, client: redis.asyncio.Redis | redis.asyncio.RedisCluster) -> None:
        self._client: Any = client

    async def evaluate(self, call: Call) -> Reply:
        try:
            try:
                reply = await self._client.evalsha(
                    SCRIPT_SHA, len(call.keys), *call.keys, *call.args
                )
            except NoScriptError:
                reply = await self._client.eval(SCRIPT, len(call.keys), *call.keys, *call.args)
        except (RedisError, OSError, UnicodeError) as error:
            raise port_error(error) from error
        return cast(Reply, reply)

    async def scan(self, pattern: str, at_most: int) -> Sequence[str]:
        keys: list[str] = []
        try:
            async for key in self._client.scan_iter(match=pattern, count=1000):
                keys.append(key.decode())
                if len(keys) >= at_most:
                    break
        except (RedisError, OSError, UnicodeError) as error:
            raise port_error(error) from error
        return keys

    async def close(self) -> None:
        await self._client.aclose()


def port_error(error: Exception) -> PortError:
    """The PortError for a client error: its type only, because texts may quote arguments."""
    return PortError("ledger", f"redis: {type(error).__name__}")
