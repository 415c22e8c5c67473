"""Commands whose process cannot outlive ours, not even when we are killed with SIGKILL.

On Linux the kernel sends a child PR_SET_PDEATHSIG's signal when the thread that started it ends,
and the setting survives execve (prctl(2)). It is made by a Python of its own that then becomes the
command: code between fork and exec of a process with threads may deadlock. Elsewhere a child ends
with an orderly exit only.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# arguments: our process, the command. 1 is PR_SET_PDEATHSIG of linux/prctl.h.
_PROGRAM = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent ended")
os.execv(sys.argv[2], sys.argv[2:])
"""


def bound(command: Sequence[str]) -> list[str]:
    """`command` as a child of the calling thread that ends with it.

    Args:
        command: the program's absolute path and its arguments.
    """
    if sys.platform != "linux":
        return [*command]
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, str(os.getpid()), *command]
