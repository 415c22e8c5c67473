"""Children end with their parent, and stop when told."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from promptward_envoy import child_process

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('ready', flush=True); time.sleep(600)"
)
PARENT = """
import sys, time
from promptward_envoy import child_process
child = child_process.start([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_killed_parent_takes_its_child_along() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert not gone(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 5
    while not gone(child):
        assert time.monotonic() < end


def test_stop_is_polite_first() -> None:
    process = child_process.start(SLEEP)
    child_process.stop([process], 5)
    assert process.returncode == -15


def test_stop_kills_what_does_not_listen() -> None:
    process = child_process.start([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    child_process.stop([process], 0.1)
    assert process.returncode == -9
    process.stdout.close()


def test_stop_of_what_has_ended_is_harmless() -> None:
    process = child_process.start([sys.executable, "-c", ""])
    process.wait()
    child_process.stop([process], 1)
