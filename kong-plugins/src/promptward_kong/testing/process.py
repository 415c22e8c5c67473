"""A plugin server as a child process, started as Kong starts one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from promptward_kong.testing.rpc import RpcClient, RpcError

_START_S = 30.0


class ServerProcess:
    """Starts `command` and waits until `path` answers.

    Args:
        environment: Kong passes none; so does this, unless told otherwise.
    """

    def __init__(
        self, command: list[str], path: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.command = command
        self.path = path
        self.environment = environment or {}
        self.process: subprocess.Popen[bytes] | None = None
        self.output = path.with_suffix(".out")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start and wait for the first answer."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - the test's own command
                self.command, env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.output.read_text()[-2000:]}")
            try:
                self.status()
                return
            except (RpcError, OSError):
                time.sleep(0.02)
        raise TimeoutError("the server does not answer")

    def status(self) -> dict[str, Any]:
        """`plugin.GetStatus`."""
        client = RpcClient(str(self.path), timeout_s=2.0)
        try:
            status: dict[str, Any] = client.call("plugin.GetStatus", None)
            return status
        finally:
            client.close()

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self, timeout_s: float = 15.0) -> int:
        """SIGTERM and the exit status; idempotent."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout_s)

    def query(self, arguments: list[str]) -> list[dict[str, Any]]:
        """Run the query command as Kong does and check what Kong checks."""
        out = subprocess.run(  # noqa: S603 - the test's own command
            arguments, env=self.environment, stdout=subprocess.PIPE, check=True
        )
        return list(json.loads(out.stdout))
