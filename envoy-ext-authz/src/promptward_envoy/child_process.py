"""Start child processes that cannot outlive us.

On Linux the kernel sends a child PR_SET_PDEATHSIG's signal when the thread that started it ends
(prctl(2)), so even SIGKILL of the parent leaves no orphan. Elsewhere the children are stopped on
an orderly exit only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def start(
    command: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    stdout: IO[bytes] | int | None = None,
    stderr: IO[bytes] | int | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, so that a terminal's Ctrl-C reaches only us."""
    parent = os.getpid()

    def bind_to_parent() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return subprocess.Popen(  # noqa: S603 - the command is ours  # pylint: disable=R1732
        command,
        env=None if environ is None else dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        preexec_fn=bind_to_parent,  # noqa: PLW1509 - started before any thread of ours
        start_new_session=True,
    )


def stop(processes: Sequence[subprocess.Popen[bytes]], timeout_s: float) -> None:
    """SIGTERM to all, then SIGKILL to those still there after `timeout_s` seconds each."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
