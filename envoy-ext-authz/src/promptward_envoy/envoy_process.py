"""Run an Envoy of our own: configuration in, a live process out."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import time
from pathlib import Path

from promptward_envoy import child_process
from promptward_envoy.bootstrap import Bootstrap, envoy_config

_TIMEOUT_S = 5.0  # for one call of the admin interface


class EnvoyFailedError(Exception):
    """Envoy ended or did not become live; carries the end of its log."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket: Envoy's admin interface is never on a port."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(self._path)


def admin_get(admin_socket: str, path: str) -> str:
    """GET of Envoy's admin interface.

    Raises:
        OSError: nobody listens there (yet).
    """
    with contextlib.closing(_UnixConnection(admin_socket)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def start_envoy(
    binary: Path, directory: Path, settings: Bootstrap, *, concurrency: int = 1
) -> subprocess.Popen[bytes]:
    """Start Envoy with `settings`; configuration and log go to `directory`."""
    config = directory / "envoy.json"
    config.write_text(json.dumps(envoy_config(settings), indent=1))
    arguments = ["--concurrency", str(concurrency), "--disable-hot-restart"]
    with (directory / "envoy.log").open("ab") as log:
        return child_process.start(
            [str(binary), "-c", str(config), "--log-level", "warning", *arguments],
            stdout=log,
            stderr=log,
        )


def wait_until_live(
    process: subprocess.Popen[bytes], directory: Path, admin_socket: str, deadline_s: float
) -> None:
    """Return when Envoy serves.

    Raises:
        EnvoyFailedError: it ended, or is not live after `deadline_s` seconds.
    """
    end = time.monotonic() + deadline_s
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if admin_get(admin_socket, "/ready").startswith("LIVE"):
                return
        time.sleep(0.02)
    log = (directory / "envoy.log").read_text(errors="replace")
    raise EnvoyFailedError(f"Envoy is not live: {log[-2000:]}")
