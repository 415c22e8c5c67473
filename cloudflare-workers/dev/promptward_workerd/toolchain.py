"""Install what the Worker needs on a developer's machine, from lock files, and nothing else.

npm (package-lock.json): the workerd binary and Pyodide. PyPI (requirements-worker.txt, hashed):
the Workers SDK and PyYAML's pure part. Everything lands in `node_modules/` and `.cache/` beside
this package's project, both untracked; a second call does nothing.

Invariant: safe when several processes call it at once (an exclusive file lock).
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from promptward_workerd.bundle import BUNDLE_NAME, write_bundle

PROJECT = Path(__file__).resolve().parents[2]
_INSTALL_TIMEOUT_S = 600
# cp314 on pyemscripten is what Python Workers run from compatibility date 2026-09-08; PyYAML has
# no wheel for it, so its Linux wheel is taken and the compiled file dropped.
_PIP_TARGET = (
    "--python-version=3.14",
    "--implementation=cp",
    "--abi=cp314",
    "--abi=none",
    "--platform=pyemscripten_2026_0_wasm32",
    "--platform=manylinux2014_x86_64",
    "--platform=any",
)


class ToolchainError(Exception):
    """Something to install is missing; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Where the installed pieces are.

    Attributes:
        workerd: the binary.
        bundle_dir: directory with the Pyodide bundle.
        site: directory with the vendored third-party Python packages.
    """

    workerd: Path
    bundle_dir: Path
    site: Path


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run_to_end(command: list[str], cwd: Path) -> None:
    """Run an installer.

    Raises:
        ToolchainError: it is missing or fails; the message ends with its output.
    """
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands, no shell
            command,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_INSTALL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise ToolchainError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")


def _fingerprint(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _install_npm(project: Path) -> Path:
    """`npm ci`, once per lock file; returns node_modules."""
    modules = project / "node_modules"
    mark = modules / ".promptward-lock"
    wanted = _fingerprint(project / "package.json", project / "package-lock.json")
    if mark.is_file() and mark.read_text() == wanted:
        return modules
    npm = shutil.which("npm")
    if npm is None:
        raise ToolchainError("npm is missing: install Node.js (for example: apt install npm)")
    run_to_end([npm, "ci", "--no-audit", "--no-fund"], project)
    mark.write_text(wanted)
    return modules


def _workerd_binary(modules: Path) -> Path:
    arch = {"x86_64": "64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    system = platform.system().lower()
    binary = modules / "@cloudflare" / f"workerd-{system}-{arch}" / "bin" / "workerd"
    if not binary.is_file():
        raise ToolchainError(f"package.json has no workerd for {system} {arch}")
    return binary


def pip_install(site: Path, arguments: list[str]) -> None:
    """pip-install into the new directory `site`, whole or not at all; compiled modules are dropped.

    Raises:
        ToolchainError: pip failed.
    """
    partial = site.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_to_end([*pip, "--no-compile", "--target", str(partial), *arguments], site.parent)
    for compiled in partial.rglob("*.so"):
        compiled.unlink()
    partial.rename(site)


def _install_site(project: Path) -> Path:
    """pip-install the vendored packages, once per requirements file; returns the directory."""
    requirements = project / "requirements-worker.txt"
    site = project / ".cache" / f"site-{_fingerprint(requirements)}"
    if site.is_dir():
        return site
    exact = ["--no-deps", "--only-binary=:all:", "--require-hashes", *_PIP_TARGET]
    pip_install(site, [*exact, "-r", str(requirements)])
    return site


def ensure_site(project: Path = PROJECT) -> Path:
    """Install only what is vendored: enough to deploy, without workerd and npm."""
    with exclusive(project / ".cache" / "install.lock"):
        return _install_site(project)


def ensure(project: Path = PROJECT) -> Toolchain:
    """Install whatever is not there yet.

    Raises:
        ToolchainError: npm is missing, or an installation failed.
    """
    with exclusive(project / ".cache" / "install.lock"):
        modules = _install_npm(project)
        pyodide = modules / "pyodide"
        bundle_dir = project / ".cache" / f"bundle-{_fingerprint(pyodide / 'package.json')}"
        if not (bundle_dir / BUNDLE_NAME).is_file():
            write_bundle(pyodide, bundle_dir)
        return Toolchain(_workerd_binary(modules), bundle_dir, _install_site(project))
