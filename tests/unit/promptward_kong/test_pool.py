"""The pool forks, so its cases (pool_cases.py) run in a process of their own.

A process that runs a whole test session has threads and descriptors of other tests; a child forked
from it inherits their locks and half-closed files, which the plugin server never has.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).with_name("pool_cases.py")


def test_every_case_in_a_fresh_process() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
