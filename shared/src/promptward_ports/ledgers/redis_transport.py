"""Connections to Redis: blocking ones for Kong and the CLI, suspending ones for asyncio hosts.

Invariants: every call has a timeout; only PortError leaves this file; the script is loaded again
when a server does not know it (restart, failover). A call is repeated once on a fresh connection
when the old one turns out to be closed: the script is idempotent by request id.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol, cast

import redis
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError

from promptward.errors import PortError
from promptward_ports.ledgers.redis_protocol import Call, Reply


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

    async def fields(self, key: str, pattern: str, at_most: int) -> Sequence[bytes]:
        """Fields of a hash that match.

        Raises:
            PortError: Redis failed or timed out.
        """
        ...

    async def close(self) -> None: ...


class BlockingTransport:
    """A `redis.Redis` (also a Sentinel's master) or `redis.RedisCluster`: never suspends."""

    def __init__(self, client: redis.Redis | redis.RedisCluster) -> None:
        self._client: Any = client

    async def evaluate(self, call: Call) -> Reply:
        script, given = call.script, (len(call.keys), *call.keys, *call.args)
        try:
            try:
                reply = self._client.evalsha(script.sha, *given)
            except NoScriptError:
                reply = self._client.eval(script.source, *given)
        except (RedisError, OSError, UnicodeError) as error:
            raise port_error(error) from error
        return cast(Reply, reply)

    async def scan(self, pattern: str, at_most: int) -> Sequence[str]:
        try:
            found = self._client.scan_iter(match=pattern, count=1000)
            return [key.decode() for key in islice(found, at_most)]
        except (RedisError, OSError, UnicodeError) as error:
            raise port_error(error) from error

    async def fields(self, key: str, pattern: str, at_most: int) -> Sequence[bytes]:
        try:
            found = self._client.hscan_iter(key, match=pattern, count=1000)
            return [field for field, _ in islice(found, at_most)]
        except (RedisError, OSError, UnicodeError) as error:
            raise port_error(error) from error

    async def close(self) -> None:
        self._client.close()


class DirectTransport(BlockingTransport):
    """A single Redis, spoken to over one held connection per thread.

    Leaves out what `redis.Redis.execute_command` does around a command (pool checks, metrics, per
    argument encoding): half of the client's CPU per call. A forked child opens its own connections.
    """

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self._held = threading.local()

    async def evaluate(self, call: Call) -> Reply:
        try:
            connection = self._connection()
            try:
                reply = self._ask(connection, b"EVALSHA", call.script.sha.encode(), call)
            except NoScriptError:
                reply = self._ask(connection, b"EVAL", call.script.source.encode(), call)
        except (RedisError, OSError, UnicodeError) as error:
            raise port_error(error) from error
        return cast(Reply, reply)

    def _connection(self) -> Any:
        held = self._held
        if getattr(held, "pid", None) != os.getpid():
            held.connection = self._client.connection_pool.get_connection()
            held.pid = os.getpid()
        return held.connection

    def _ask(self, connection: Any, command: bytes, script: bytes, call: Call) -> Any:
        packed = [encode_command(command, script, call)]
        while True:
            fresh = not connection.is_connected
            try:
                connection.send_packed_command(packed)
                return connection.read_response()
            except ResponseError:
                raise  # a whole answer: the connection is in step
            except BaseException as error:
                connection.disconnect()  # a late reply must not answer the next call
                # Closed while idle: worth one more try; a timeout or a fresh one is not.
                if fresh or not isinstance(error, RedisConnectionError):
                    raise


def encode_command(command: bytes, script: bytes, call: Call) -> bytes:
    """One command in RESP (redis.io, "Redis serialization protocol specification")."""
    count = b"%d" % len(call.keys)
    keys = [key.encode() for key in call.keys]
    parts = [b"*%d\r\n" % (3 + len(keys) + len(call.args))]
    for part in (command, script, count, *keys, *call.args):
        parts += (b"$%d\r\n" % len(part), part, b"\r\n")
    return b"".join(parts)


class SuspendingTransport:
    """A `redis.asyncio` client; must be used from one event loop.

    Args:
        client: what to talk through.
        others: clients it depends on, closed along with it.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis | redis.asyncio.RedisCluster,
        others: Sequence[redis.asyncio.Redis] = (),
    ) -> None:
        self._client: Any = client
        self._others = others

    async def evaluate(self, call: Call) -> Reply:
        script, given = call.script, (len(call.keys), *call.keys, *call.args)
        try:
            try:
                reply = await self._client.evalsha(script.sha, *given)
            except NoScriptError:
                reply = await self._client.eval(script.source, *given)
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

    async def fields(self, key: str, pattern: str, at_most: int) -> Sequence[bytes]:
        found: list[bytes] = []
        try:
            async for field, _ in self._client.hscan_iter(key, match=pattern, count=1000):
                found.append(field)
                if len(found) >= at_most:
                    break
        except (RedisError, OSError, UnicodeError) as error:
            raise port_error(error) from error
        return found

    async def close(self) -> None:
        for client in (self._client, *self._others):
            await client.aclose()
            pool = getattr(client, "connection_pool", None)  # not of a cluster
            if pool is not None:
                await pool.disconnect()


def port_error(error: Exception) -> PortError:
    """The PortError for a client error: its type only, because texts may quote arguments."""
    return PortError("ledger", f"redis: {type(error).__name__}")
