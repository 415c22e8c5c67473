"""One workerd process: start, wait until it listens, measure, stop.

Invariants: the port is chosen by the kernel and reported by workerd itself (`--control-fd`), so
two processes never collide; waiting has a deadline; the process never outlives `stop`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from pathlib import Path
from types import TracebackType

from promptward_workerd import child_process
from promptward_workerd.toolchain import Toolchain

_START_TIMEOUT_S = 60.0  # a cold start took 2.8 s on 2 free cores; CI shares them
_STOP_TIMEOUT_S = 5.0
_TAIL_BYTES = 4000


class WorkerdError(Exception):
    """workerd did not start; the message ends with its output."""


class Workerd:
    """A running workerd.

    Args:
        toolchain: see `toolchain.ensure`.
        config: file written by `config.write`.
        host: loopback address to listen on.
        port: port, 0 for any free one.
        log: file that takes stdout and stderr.
        snapshot: memory snapshot to start from (see `make_snapshot`).
        options: further command-line options.
        bound: whether the kernel ends it with the calling thread (see `child_process`).
    """

    def __init__(
        self,
        toolchain: Toolchain,
        config: Path,
        log: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        snapshot: Path | None = None,
        options: tuple[str, ...] = (),
        bound: bool = False,
    ) -> None:
        self.log = log
        self.host = host
        started_s = time.monotonic()
        read_fd, write_fd = os.pipe()
        command = [
            str(toolchain.workerd),
            "serve",
            config.name,
            "--experimental",
            f"--pyodide-bundle-disk-cache-dir={toolchain.bundle_dir}",
            f"--socket-addr=http={host}:{port}",
            f"--control-fd={write_fd}",
            *options,
        ]
        if snapshot is not None:
            command.append(f"--python-snapshot-dir={snapshot.parent}")
            command.append(f"--python-load-snapshot={snapshot.name}")
        with log.open("wb") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own pinned binary, no shell
                child_process.bound(command) if bound else command,
                cwd=config.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(write_fd,),
            )
        os.close(write_fd)
        try:
            self.port = self._await_port(read_fd)
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(read_fd)
        self.start_s = time.monotonic() - started_s

    def _await_port(self, fd: int) -> int:
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        received = b""
        while time.monotonic() < deadline_s:
            ready, _, _ = select.select([fd], [], [], deadline_s - time.monotonic())
            chunk = os.read(fd, 4096) if ready else b""
            if not chunk:
                break
            received += chunk
            for line in received.split(b"\n"):
                event = _listen_event(line)
                if event is not None:
                    return event
        raise WorkerdError(f"workerd did not start:\n{self.tail()}")

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def tail(self) -> str:
        """The end of the process's output."""
        return self.log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace")

    def cpu_s(self) -> float:
        """User and system CPU time of the process so far, in seconds (Linux /proc)."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text("ascii")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Resident memory of the process in bytes (Linux /proc)."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """End the process; idempotent."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_TIMEOUT_S)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(_STOP_TIMEOUT_S)

    def __enter__(self) -> Workerd:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def make_snapshot(toolchain: Toolchain, config: Path, out: Path) -> Path:
    """Python's memory after the Worker's modules are imported, as Cloudflare makes it at deploy.

    A start from it takes a fraction of a second instead of several. It belongs to the Worker's
    code; bindings and variables may differ.

    Args:
        out: directory for `snapshot.bin` (about 30 MB).
    """
    options = ("--python-save-snapshot", f"--python-snapshot-dir={out}")
    Workerd(toolchain, config, out / "snapshot.log", options=options).stop()
    return out / "snapshot.bin"


def _listen_event(line: bytes) -> int | None:
    """The port in one control line, if it is the `listen` event of our socket."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if event.get("event") == "listen" and event.get("socket") == "http":
        return int(event["port"])
    return None
