"""The Unix socket Kong connects to, and the life of the process behind it.

Invariants: the socket appears atomically under its name, listening, so that Kong never finds a
name without a server; a server that ends removes only its own socket; when the process that
started us goes, we go (Kong starts a new server and must not share the name with an old one).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from promptward_kong.loop import Loop

_log = logging.getLogger(__name__)

_BACKLOG = 4096
_PARENT_CHECK_S = 0.5


class UnixListener:
    """A listening Unix socket at `path`, replacing whatever is there.

    Args:
        mode: permission bits of the socket; Kong's worker user must be able to write it.
    """

    def __init__(self, path: Path, mode: int = 0o660) -> None:
        self.path = path
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(temporary))
        temporary.chmod(mode)
        self.sock.listen(_BACKLOG)
        self.sock.setblocking(False)
        self._inode = temporary.stat().st_ino
        temporary.rename(path)

    def attach(self, loop: Loop, accept: Callable[[socket.socket], None]) -> None:
        """Call `accept` with every new connection."""

        def ready(_mask: int) -> None:
            for _ in range(64):  # fair to the connections that are already open
                try:
                    connection, _address = self.sock.accept()
                except BlockingIOError:
                    return
                except OSError as error:
                    if error.errno in (errno.EMFILE, errno.ENFILE):
                        _log.error("out of file descriptors")
                    return
                accept(connection)

        loop.register(self.sock, selectors.EVENT_READ, ready)

    def detach(self, loop: Loop) -> None:
        """Stop accepting and remove the socket, unless a newer server took the name."""
        loop.unregister(self.sock)
        self.sock.close()
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()


def watch_parent(loop: Loop, gone: Callable[[], None]) -> None:
    """Call `gone` when the process that started us is no longer our parent.

    A parent with id 1 is normal in a container and under systemd; only a change counts.
    """
    parent = os.getppid()

    def check() -> None:
        if os.getppid() != parent:
            _log.warning("the parent process is gone")
            gone()

    loop.every(_PARENT_CHECK_S, check)


def on_signals(loop: Loop, stop: Callable[[], None]) -> None:
    """Call `stop` from the loop on SIGTERM, SIGINT or SIGQUIT."""
    wake_read, wake_write = socket.socketpair()
    wake_read.setblocking(False)
    wake_write.setblocking(False)
    signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)

    def handler(_number: int, _frame: FrameType | None) -> None:
        loop.soon(stop)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, handler)

    def woken(_mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            wake_read.recv(4096)
        _ = wake_write  # lives as long as this callback

    loop.register(wake_read, selectors.EVENT_READ, woken)
