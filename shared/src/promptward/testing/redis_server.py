"""A real Redis of the test's own: its own directory and socket, killed and restarted at will."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from promptward.testing.programs import require_program

HINT = "apt-get install redis-server"
START_TIMEOUT_S = 20


def free_port() -> int:
    """A TCP port that is free now, and so is the one 10,000 above it, for a cluster's bus.

    Both lie below the range the kernel hands out by itself (32768 and up on Linux), so that no
    connection of another test takes one between this look and Redis's own.
    """
    for port in random.SystemRandom().sample(range(10_000, 22_000), 100):
        with socket.socket() as probe, socket.socket() as bus, suppress(OSError):
            probe.bind(("0.0.0.0", port))  # noqa: S104 - only to see whether it is free
            bus.bind(("0.0.0.0", port + 10_000))  # noqa: S104
            return port
    raise RuntimeError("no free TCP port found")


class RedisServer:
    """One redis-server process on a Unix socket, and with `tcp` on a free port of 127.0.0.1.

    Args:
        directory: short path of an existing directory (a socket's path has at most 107 bytes).
        durable: whether every write is on disk before it is answered (`appendfsync always`).
        tcp: whether to listen on TCP as well.
        options: further `redis-server` arguments.
    """

    def __init__(
        self,
        directory: Path,
        *,
        durable: bool = False,
        tcp: bool = False,
        options: tuple[str, ...] = (),
    ) -> None:
        self._program = require_program("redis-server", HINT)
        self._directory = directory
        self.port = free_port() if tcp else 0
        self._options = (
            *("--port", str(self.port), "--save", "", "--dir", str(directory)),
            *("--unixsocket", str(directory / "s"), "--loglevel", "warning"),
            *(("--appendonly", "yes", "--appendfsync", "always") if durable else ()),
            *options,
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Ledger URL of this server."""
        return f"unix://{self._directory / 's'}"

    @property
    def tcp_url(self) -> str:
        """Ledger URL over TCP."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [self._program, *self._options], stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        once = Retry(NoBackoff(), 0)
        with redis.Redis(unix_socket_path=str(self._directory / "s"), retry=once) as client:
            while True:
                try:
                    client.ping()
                except redis.RedisError as error:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        log_text = (self._directory / "log").read_text("utf-8", "replace")
                        raise RuntimeError(f"redis-server did not start: {log_text}") from error
                    time.sleep(0.01)
                else:
                    return

    def signal(self, number: int) -> None:
        """Send a signal, for example SIGSTOP to make it hang."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: nothing is flushed or closed."""
        self.signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        """SIGTERM, then wait."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        self._reap()

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(START_TIMEOUT_S)
            self._process = None
