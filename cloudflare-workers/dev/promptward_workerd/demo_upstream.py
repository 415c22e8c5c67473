"""The demo upstream as a child process: the OpenAI-compatible server that all quickstarts share.

It comes with `promptward-envoy` and is started as a program, so that no gateway imports another.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from promptward_workerd import child_process

_MODULE = "promptward_envoy.demo.upstream"
_STOP_TIMEOUT_S = 5.0


class DemoUpstreamError(Exception):
    """The demo upstream did not start."""


@contextlib.contextmanager
def demo_upstream(log: Path) -> Iterator[str]:
    """Run it on a free loopback port; yields its URL.

    Args:
        log: file that takes the request bodies, one JSON a line.

    Raises:
        DemoUpstreamError: it is not installed or does not start.
    """
    command = [sys.executable, "-m", _MODULE, "--listen", "127.0.0.1:0", "--log", str(log)]
    command = child_process.bound(command)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - ours
        try:
            assert process.stdout is not None
            line = process.stdout.readline().split()
            if line[:1] != [b"listening"]:
                raise DemoUpstreamError(
                    "the demo upstream did not start; install promptward-envoy or use --upstream"
                )
            yield f"http://127.0.0.1:{int(line[1])}"
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_TIMEOUT_S)
            process.kill()
