"""Connections to Redis: blocking ones for Kong and the CLI, suspending ones for asyncio hosts.

Invariants: every call has a timeout; only PortError leaves this file; the script is loaded again
when a server does not know it (restart, failover). A call is repeated once on a fresh connection
when the old one turns out to be closed, or silent for half of the timeout (a network cut leaves
connections that neither end knows to be dead): the script is idempotent by request id.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol, cast

import redis
import redis.asyncio
from redis.exceptions import NoScriptError, RedisError

from promptward.errors import PortError
from promptward_ports.ledgers.redis_endpoint import RedisEndpoint
from promptward_ports.ledgers.redis_pipe import (
    Pipe,
    PipeLateError,
    PipeLostError,
    PipeSilentError,
    open_pipe,
)
from promptward_ports.ledgers.redis_protocol import Call, Reply
from promptward_ports.ledgers.redis_socket import RedisSocket
from promptward_ports.ledgers.resp import (
    ErrorReplyError,
    ProtocolError,
    RespValue,
    encode_parts,
)

IDLE_AT_MOST = 64
"""Connections kept between calls; more than the threads of a blocking gateway process."""


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


class DirectTransport(BlockingTransport):
    """A single Redis over held connections, one per call in flight; `client` serves admin calls.

    Leaves out what `redis.Redis.execute_command` does around a command (pool checks, metrics,
    encoding per argument): more than half of the client's CPU per call. Safe between threads; a
    forked child opens its own connections.
    """

    def __init__(self, client: redis.Redis, endpoint: RedisEndpoint, timeout_s: float) -> None:
        super().__init__(client)
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._pid = os.getpid()
        # Threads only pop and append, which are atomic.
        self._idle: deque[RedisSocket] = deque()

    async def evaluate(self, call: Call) -> Reply:
        try:
            try:
                reply = self._ask(encode_call(b"EVALSHA", call))
            except ErrorReplyError as error:
                if error.code != "NOSCRIPT":
                    raise
                reply = self._ask(encode_call(b"EVAL", call))
        except (ErrorReplyError, ProtocolError, OSError, UnicodeError) as error:
            raise port_error(error) from error
        return cast(Reply, reply)

    async def close(self) -> None:
        self._drop_idle()
        await super().close()

    def _ask(self, command: bytes) -> RespValue:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._drop_idle()  # the parent's: closing them here does not end them there
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._ask_on(RedisSocket(self._endpoint, self._timeout_s), command)
        left_s = self._timeout_s
        try:
            return self._ask_on(connection, command)
        except TimeoutError:
            left_s /= 2
        except ConnectionError:
            pass
        # Closed or cut off while idle, likely all of them: worth one more try.
        self._drop_idle()
        return self._ask_on(RedisSocket(self._endpoint, left_s), command)

    def _ask_on(self, connection: RedisSocket, command: bytes) -> RespValue:
        try:
            reply = connection.ask(command)
        except ErrorReplyError:
            self._keep(connection)
            raise
        self._keep(connection)
        return reply

    def _keep(self, connection: RedisSocket) -> None:
        if len(self._idle) < IDLE_AT_MOST:
            connection.hold(self._timeout_s / 2)
            self._idle.append(connection)
        else:
            connection.close()

    def _drop_idle(self) -> None:
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()


class PipelinedTransport(SuspendingTransport):
    """A single Redis over one pipelined connection; `client` serves the admin calls."""

    def __init__(
        self, client: redis.asyncio.Redis, endpoint: RedisEndpoint, timeout_s: float
    ) -> None:
        super().__init__(client)
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        self._pipe: Pipe | None = None
        self._connecting: asyncio.Lock | None = None

    async def evaluate(self, call: Call) -> Reply:
        try:
            try:
                reply = await self._ask(encode_call(b"EVALSHA", call))
            except ErrorReplyError as error:
                if error.code != "NOSCRIPT":
                    raise
                reply = await self._ask(encode_call(b"EVAL", call))
        except (ErrorReplyError, PipeLostError, UnicodeError) as error:
            raise port_error(error) from error
        return cast(Reply, reply)

    async def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        await super().close()

    async def _ask(self, command: bytes) -> RespValue:
        pipe, left_s = self._pipe, self._timeout_s
        if pipe is not None and pipe.alive:
            try:
                return await pipe.ask(command)
            except PipeLateError:
                raise
            except PipeSilentError:
                left_s /= 2
            except PipeLostError:
                pass  # closed while idle: worth one more try
        try:
            async with asyncio.timeout(left_s):
                return await (await self._connected()).ask(command)
        except TimeoutError as error:
            raise PipeLateError from error

    async def _connected(self) -> Pipe:
        if self._connecting is None:
            self._connecting = asyncio.Lock()
        async with self._connecting:  # many calls may find it gone: one of them connects
            if self._pipe is None or not self._pipe.alive:
                self._pipe = await open_pipe(self._endpoint, self._timeout_s)
            return self._pipe


def encode_call(command: bytes, call: Call) -> bytes:
    """EVALSHA or EVAL of a call."""
    script = call.script.sha if command == b"EVALSHA" else call.script.source
    parts = 3 + len(call.keys) + len(call.args)
    first = _first_parts(command, script, call.keys)
    return b"*%d\r\n%b%b" % (parts, first, encode_parts(call.args))


@lru_cache(maxsize=1024)
def _first_parts(command: bytes, script: str, keys: tuple[str, ...]) -> bytes:
    """What all of a tenant's calls of a script begin with."""
    return encode_parts((command, script.encode(), b"%d" % len(keys), *(k.encode() for k in keys)))


def port_error(error: Exception) -> PortError:
    """The PortError for a client error: its type or code only, as texts may quote arguments."""
    reason = error.code if isinstance(error, ErrorReplyError) else type(error).__name__
    return PortError("ledger", f"redis: {reason}")
