"""The native backend: the same programs and configuration as processes of this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptward_envoy import child_process
from stacks.link import Address, Links
from stacks.stack import Stack

HOST = "127.0.78.1"  # an odd loopback address: common ports of 127.0.0.1 are often taken
_STOP_S = 45.0  # longer than the drain and grace periods of the service


class BackendMissingError(Exception):
    """A program that the backend needs is not installed."""


def free_address() -> Address:
    """An address nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return HOST, int(probe.getsockname()[1])


def at(address: Address) -> str:
    """`host:port`."""
    return f"{address[0]}:{address[1]}"


def command_of(service: dict[str, Any]) -> list[str]:
    """The `command` of a compose service."""
    return [str(part) for part in service["command"]]


class NativeStack(Stack):
    """Processes, and a wire in front of each server."""

    backend = "native"

    def __init__(self, directory: Path, policy_dir: Path) -> None:
        super().__init__(policy_dir)
        self.directory = directory
        self.links = Links()
        self._commands: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._reached: dict[str, Address] = {}
        self.more_settings: dict[str, Mapping[str, str]] = {}  # by service, before `boot`

    @abstractmethod
    def boot(self) -> None:
        """Describe and start every service, in order."""

    def serve_on(self, name: str) -> tuple[Address, Address]:
        """Addresses of a server: where it listens, and where others reach it through a wire."""
        listen, reached = free_address(), free_address()
        self.links.lay(name, reached, listen)
        self._reached[name] = reached
        return listen, reached

    def reached(self, name: str) -> Address:
        """Where others reach a server."""
        return self._reached[name]

    def run_upstream(self, service: dict[str, Any]) -> Address:
        """Start the demo upstream as the compose file does; where it is reached."""
        listen, reached = self.serve_on("upstream")
        arguments = [at(listen) if a == "0.0.0.0:8080" else a for a in command_of(service)]
        self.run("upstream", [sys.executable, *service["entrypoint"][1:], *arguments], {})
        return reached

    def run_redis(self, service: dict[str, Any]) -> Address:
        """Start Redis as the compose file does; where it is reached.

        Raises:
            BackendMissingError: it is not installed.
        """
        binary = shutil.which("redis-server")
        if binary is None:
            raise BackendMissingError("native backend: needs redis-server")
        listen, reached = self.serve_on("redis")
        data = self.directory / "redis"
        data.mkdir()
        where = ["--bind", listen[0], "--port", str(listen[1]), "--dir", str(data)]
        self.run("redis", [binary, *command_of(service)[1:], *where], {})
        return reached

    def run(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Describe a service and start it."""
        more = self.more_settings.get(name, {})
        self._commands[name] = (command, {**os.environ, **environ, **more})
        self._start(name)

    @property
    def services(self) -> list[str]:
        return list(self._commands)

    def _log(self, service: str) -> str:
        return (self.directory / f"{service}.log").read_text(errors="replace")

    def restart(self, service: str) -> None:
        self._processes[service].terminate()
        self._processes[service].wait(_STOP_S)
        self._start(service)

    def _kill(self, service: str) -> None:
        self._processes[service].kill()
        self._processes[service].wait()

    def _start(self, service: str) -> None:
        command, environ = self._commands[service]
        with (self.directory / f"{service}.log").open("ab") as log:
            self._processes[service] = child_process.start(
                command, environ=environ, stdout=log, stderr=log, cwd=self.directory
            )

    def _freeze(self, service: str, *, frozen: bool) -> None:
        # The whole group: workerd and Envoy have none but themselves, a supervisor has workers.
        number = signal.SIGSTOP if frozen else signal.SIGCONT
        os.killpg(self._processes[service].pid, number)

    def _connect(self, service: str, *, connected: bool) -> None:
        self.links.connect(service, connected=connected)

    def stop(self) -> None:
        """End everything."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
        child_process.stop(tuple(reversed(self._processes.values())), 10.0)
        self.links.close()
