"""One connection to a single Redis for hosts without an event loop.

Invariants: used by one thread; any failure but an error reply closes it, so that no late reply
answers another call.
"""

from __future__ import annotations

import socket
import struct

from promptward_ports.ledgers.redis_endpoint import RedisEndpoint
from promptward_ports.ledgers.resp import ErrorReplyError, ProtocolError, Replies, RespValue

CHUNK_BYTES = 65_536


class RedisSocket:
    """Connects and greets on construction.

    Args:
        timeout_s: for connecting, and for each send and receive.

    Raises:
        OSError, ProtocolError, ErrorReplyError: it did not work out.
    """

    def __init__(self, endpoint: RedisEndpoint, timeout_s: float) -> None:
        self._socket = _connect(endpoint, timeout_s)
        self._replies = Replies()
        self._held = False
        try:
            for command in endpoint.greeting:
                self.ask(command)
        except ErrorReplyError:
            self._socket.close()
            raise

    def ask(self, command: bytes) -> RespValue:
        """Send a command and wait for its reply."""
        try:
            self._socket.sendall(command)
            while True:
                data = self._socket.recv(CHUNK_BYTES)
                if not data:
                    raise ConnectionResetError
                found = self._replies.feed(data)
                if found:
                    break
            if len(found) != 1:
                raise ProtocolError("more than one reply")
        except BlockingIOError:  # the kernel's timeout
            self._socket.close()
            raise TimeoutError from None
        except BaseException:
            self._socket.close()
            raise
        (reply,) = found
        if isinstance(reply, ErrorReplyError):
            raise reply
        return reply

    def hold(self, timeout_s: float) -> None:
        """Keep it for later calls, with another timeout for each send and receive."""
        if self._held:
            return
        self._held = True
        if self._socket.gettimeout() is None:
            _timed_by_the_kernel(self._socket, timeout_s)
        else:
            self._socket.settimeout(timeout_s)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


def _timed_by_the_kernel(connected: socket.socket, timeout_s: float) -> socket.socket:
    """The same socket, blocking, with the kernel's own timeouts (`BlockingIOError` when they pass).

    With Python's timeouts every send and receive is a poll first: four system calls more a request.
    """
    timeval = struct.pack("@ll", int(timeout_s), int(timeout_s % 1 * 1_000_000))
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
    connected.setblocking(True)
    return connected


def _connect(endpoint: RedisEndpoint, timeout_s: float) -> socket.socket:
    if endpoint.path:
        unix = socket.socket(socket.AF_UNIX)
        unix.settimeout(timeout_s)
        try:
            unix.connect(endpoint.path)
        except BaseException:
            unix.close()
            raise
        return _timed_by_the_kernel(unix, timeout_s)
    tcp = socket.create_connection((endpoint.host, endpoint.port), timeout_s)
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if endpoint.tls is None:
        return _timed_by_the_kernel(tcp, timeout_s)
    try:
        return endpoint.tls.wrap_socket(tcp, server_hostname=endpoint.host)
    except BaseException:
        tcp.close()
        raise
