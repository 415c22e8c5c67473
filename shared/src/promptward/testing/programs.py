"""Programs that some tests need: skipped with a hint on a laptop, required where CI=true."""

from __future__ import annotations

import os
import shutil

import pytest


def require_program(name: str, hint: str) -> str:
    """Path of the program `name`, or the end of the calling test.

    Args:
        hint: what to install, for example `apt-get install redis-server`.

    A missing program skips the test, except with the environment variable `CI=true`, where it
    fails: an unattended run must not quietly test less.
    """
    path = shutil.which(name)
    if path is not None:
        return path
    message = f"{name} is not installed; to run this test: {hint}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message)
    pytest.skip(message)
