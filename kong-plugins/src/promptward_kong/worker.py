"""A worker process: threads that take jobs from their lanes and run them.

Invariants: one thread per lane, one job at a time; a job that raises answers its error and the
thread goes on; when the front is gone (end of file on any lane) the process ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable

from promptward.errors import PortError
from promptward_kong.jobs import Job, frame

_log = logging.getLogger(__name__)

# malloc.h of glibc
_M_ARENA_MAX = -8

_LENGTH = struct.Struct("!I")
_BUFFER_BYTES = 32 * 1024

Handler = Callable[[Job], object]


def share_one_arena() -> None:
    """Let all threads allocate from one glibc arena.

    By default each thread gets its own, and with them a worker of eight threads keeps about
    10 MB more. Elsewhere than on glibc nothing happens.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def give_back_freed_memory() -> None:
    """Let glibc return what was freed to the system: imports and compilation leave a few MB."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def serve_lanes(sockets: list[socket.socket], handler: Handler) -> None:
    """Run `handler` for every job on every lane; returns when the front is gone."""
    share_one_arena()
    threads = [
        threading.Thread(target=_serve, args=(sock, handler), daemon=True) for sock in sockets[1:]
    ]
    for thread in threads:
        thread.start()
    _serve(sockets[0], handler)


def _serve(sock: socket.socket, handler: Handler) -> None:
    sock.setblocking(True)
    # buffered: the head and a job of ordinary size come with one system call
    reader = io.BufferedReader(socket.SocketIO(sock, "r"), _BUFFER_BYTES)
    try:
        while True:
            (size,) = _LENGTH.unpack(_read(reader, _LENGTH.size))
            sock.sendall(_answer(_read(reader, size), handler))
    except (EOFError, OSError):
        os._exit(0)  # the front is gone; other threads may be inside a port and cannot be joined


def _answer(data: bytes, handler: Handler) -> bytes:
    """The frame that answers a job. Nothing a job raises gets past this line."""
    try:
        return frame([True, handler(Job.decode(data))])
    except BaseException as error:  # noqa: BLE001 - nothing may end the thread
        _log.exception("a job failed")
        # Of a foreign exception the class only: its text may quote the prompt.
        reason = str(error) if isinstance(error, PortError) else type(error).__name__
        return frame([False, reason])


def _read(reader: io.BufferedIOBase, size: int) -> bytes:
    """Exactly `size` bytes.

    Raises:
        EOFError: the peer closed.
    """
    data = reader.read(size)
    if len(data) < size:
        raise EOFError
    return data
