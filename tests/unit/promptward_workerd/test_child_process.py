"""A child that ends with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from promptward_workerd.child_process import bound

_PARENT = """
import subprocess, sys
from promptward_workerd.child_process import bound
with subprocess.Popen(bound([sys.executable, "-c", "print(flush=True); input()"]),
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
    child.stdout.readline()
    print(child.pid, flush=True)
    child.wait()
"""


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_bound_child_ends_with_its_killed_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.send_signal(signal.SIGKILL)
    deadline_s = time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline_s:
        pass
    assert not is_running(child)


def test_a_bound_command_is_the_command_itself() -> None:
    show = "import os, sys; print(os.getppid(), *sys.argv[1:])"
    done = subprocess.run(
        bound([sys.executable, "-c", show, "a b", "c"]), stdout=subprocess.PIPE, check=True
    )
    assert done.stdout.decode().split() == [str(os.getpid()), "a", "b", "c"]


def test_a_command_whose_parent_is_gone_does_not_start() -> None:
    command = bound([sys.executable, "-c", "print('started')"])
    command[command.index(str(os.getpid()))] = "1"
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
