"""MessagePack-RPC as Kong's worker speaks it (kong/runloop/plugin_servers/rpc/mp_rpc.lua, 3.9).

Faithful in what matters to a plugin server: one call at a time per connection, connections pooled
last-in first-out, a connection that timed out goes back to the pool, values packed as Lua packs
them, steps named after the PDK method.
"""

from __future__ import annotations

import math
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]

STEP_METHODS = {
    "kong.client.get_credential": "plugin.StepCredential",
    "kong.client.load_consumer": "plugin.StepConsumer",
    "kong.client.get_consumer": "plugin.StepConsumer",
    "kong.client.authenticate": "plugin.StepCredential",
    "kong.node.get_memory_stats": "plugin.StepMemoryStats",
    "kong.router.get_route": "plugin.StepRoute",
    "kong.router.get_service": "plugin.StepService",
    "kong.request.get_query": "plugin.StepMultiMap",
    "kong.request.get_headers": "plugin.StepMultiMap",
    "kong.response.get_headers": "plugin.StepMultiMap",
    "kong.service.response.get_headers": "plugin.StepMultiMap",
}
MULTIMAP_METHODS = frozenset(
    {
        "kong.request.get_query",
        "kong.request.get_headers",
        "kong.response.get_headers",
        "kong.service.response.get_headers",
    }
)
RAW_METHODS = frozenset(
    {
        "kong.request.get_raw_body",
        "kong.response.get_raw_body",
        "kong.service.response.get_raw_body",
    }
)


class RpcError(Exception):
    """The plugin server answered with an error."""


class NoDataError(RpcError):
    """Timeout or closed connection. Kong logs "no data" and lets the request go on."""


class LuaError(Exception):
    """Kong's side raised: the client gets a 500 and the plugin never gets an answer."""


def lua_value(value: Any) -> Any:
    """`value` as Lua would hold and pack it: no null in tables, `{}` is an empty array, whole
    floats are integers, text and bytes are one type."""
    match value:
        case None | bool() | int() | str():
            return value
        case bytes():
            return value.decode("utf-8", "surrogateescape")
        case float():
            whole = math.isfinite(value) and value == int(value) and abs(value) < 2**53
            return int(value) if whole else value
        case list() | tuple():
            return [lua_value(item) for item in value]
        case dict():
            table = {lua_value(k): lua_value(v) for k, v in value.items() if v is not None}
            return table or []
    raise TypeError(f"Lua has no {type(value).__name__}")


def multimap(table: dict[str, Any]) -> dict[str, list[Any]]:
    """`fix_mmap` of mp_rpc.lua: every value a list; `true` (a flag) an empty one."""
    fixed: dict[str, list[Any]] = {}
    for name, value in table.items():
        if value is True:
            fixed[name] = []
        else:
            fixed[name] = [
                lua_value(item) for item in (value if isinstance(value, list) else [value])
            ]
    return fixed


def step_of(event_id: int, method: str, result: Any) -> tuple[Any, dict[str, Any]]:
    """The call that brings the result of PDK `method` to the plugin.

    Its name is a string, unless there is a header `_method`: Kong sends the values of that.

    Raises:
        LuaError: packing the result raises in Kong.
    """
    if method in RAW_METHODS:
        if result is None:
            raise LuaError("MessagePack.lua: attempt to get length of local 'str' (a nil value)")
        result = result if isinstance(result, bytes) else result.encode()
    elif method in MULTIMAP_METHODS:
        result = multimap(result or {})
    else:
        result = lua_value(result)
    argument = {"EventId": event_id}
    if result is not None:  # a nil field is no field
        argument["Data"] = result
    named = result.get("_method") if isinstance(result, dict) else None
    return named or STEP_METHODS.get(method, "plugin.Step"), argument


class RpcClient:
    """Calls to one plugin server.

    Args:
        path: the server's Unix socket.
        timeout_s: Kong's lua_socket_read_timeout.
        observe: gets every message, `("kong->plugin" | "plugin->kong", message)`.
    """

    def __init__(
        self,
        path: str,
        timeout_s: float = 60.0,
        observe: Callable[[str, Any], None] | None = None,
    ) -> None:
        self.path = path
        self.timeout_s = timeout_s
        self._observe = observe
        self._pool: queue.LifoQueue[socket.socket] = queue.LifoQueue()
        self._lock = threading.Lock()
        self._last_id = 0

    def call(self, method: Any, argument: Any) -> Any:
        """Call `method`.

        Raises:
            NoDataError: no answer.
            RpcError: the answer is an error.
        """
        with self._lock:
            self._last_id += 1
            message_id = self._last_id
        connection = self._connect()
        message = [0, message_id, method, [argument]]
        self._note("kong->plugin", message)
        try:
            connection.sendall(msgpack.packb(message, unicode_errors="surrogateescape"))
        except OSError as error:
            connection.close()
            raise NoDataError(str(error)) from None
        return self._answer(connection, message_id)

    def close(self) -> None:
        """Close the pooled connections."""
        while True:
            try:
                self._pool.get_nowait().close()
            except queue.Empty:
                return

    def _connect(self) -> socket.socket:
        while True:
            try:
                connection = self._pool.get_nowait()
            except queue.Empty:
                break
            if _is_alive(connection):
                connection.settimeout(self.timeout_s)
                return connection
            connection.close()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(self.timeout_s)
        try:
            connection.connect(self.path)
        except OSError as error:
            connection.close()
            raise NoDataError(f"trying to connect: {error}") from None
        return connection

    def _answer(self, connection: socket.socket, message_id: int) -> Any:
        unpacker = msgpack.Unpacker(
            unicode_errors="surrogateescape", strict_map_key=False, max_buffer_size=1 << 30
        )
        while True:
            try:
                data = connection.recv(4096)
            except TimeoutError:
                self._pool.put(connection)  # sic
                raise NoDataError("no data: timeout") from None
            except OSError as error:
                connection.close()
                raise NoDataError(f"no data: {error}") from None
            if not data:
                connection.close()
                raise NoDataError("no data: closed")
            unpacker.feed(data)
            for message in unpacker:
                self._note("plugin->kong", message)
                if message[0] != 2:  # 2 is a notification
                    return self._result(connection, message, message_id)

    def _result(self, connection: socket.socket, message: Any, message_id: int) -> Any:
        if message[0] != 1 or message[1] != message_id:
            connection.close()
            raise LuaError("unexpected RPC response ID")
        self._pool.put(connection)
        if message[2] is not None:
            raise RpcError(message[2])
        return message[3]

    def _note(self, direction: str, message: Any) -> None:
        if self._observe is not None:
            self._observe(direction, message)


def _is_alive(connection: socket.socket) -> bool:
    """nginx drops a pooled connection when the peer closed it or it became readable."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
