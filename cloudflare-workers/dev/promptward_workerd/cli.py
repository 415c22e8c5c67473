"""The `promptward-worker` command: install, build and run the Worker on a developer's machine."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from promptward.errors import PolicyError
from promptward_workerd import quickstart, toolchain, vendor
from promptward_workerd.demo_upstream import DemoUpstreamError
from promptward_workerd.policy_file import read_policy
from promptward_workerd.process import WorkerdError
from promptward_workerd.wrangler import ensure_wrangler, write_offline_project

_KIB = 1024


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit code (0 done, 1 failed, 2 a policy that cannot be enforced)."""
    parser = argparse.ArgumentParser(prog="promptward-worker", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    install = commands.add_parser("install", help="install workerd and what the Worker needs")
    install.set_defaults(run=_install)
    build = commands.add_parser("build", help="vendor the core for wrangler; report the size")
    build.add_argument("--policy", type=Path, metavar="FILE", help="policy to deploy with it")
    build.add_argument("--out", type=Path, default=toolchain.PROJECT, metavar="DIR")
    build.set_defaults(run=_build)
    quickstart.add_parser(commands)
    wrangler = commands.add_parser(
        "wrangler", help="run a pinned wrangler without Cloudflare's network", add_help=False
    )
    wrangler.add_argument("arguments", nargs=argparse.REMAINDER)
    wrangler.set_defaults(run=_wrangler)
    options = parser.parse_args(argv)
    try:
        return int(options.run(options))
    except PolicyError as error:
        for problem in error.problems:
            sys.stderr.write(f"promptward-worker: {problem}\n")
        return 2
    except (
        toolchain.ToolchainError,
        WorkerdError,
        DemoUpstreamError,
        OSError,
        ValueError,
    ) as error:
        sys.stderr.write(f"promptward-worker: {error}\n")
        return 1


def _install(_options: argparse.Namespace) -> int:
    tools = toolchain.ensure()
    sys.stdout.write(f"workerd {tools.workerd}\nbundle  {tools.bundle_dir}\n")
    return 0


def _wrangler(options: argparse.Namespace) -> int:
    """Run wrangler on a copy of the project, with the Pyodide bundle from npm."""
    pinned = ensure_wrangler(toolchain.ensure())
    build = {
        "command": f"{sys.executable} -m promptward_workerd build --policy policy.yaml --out ."
    }
    with tempfile.TemporaryDirectory(prefix="promptward-wrangler-") as directory:
        write_offline_project(toolchain.PROJECT, Path(directory), {"build": build})
        return subprocess.run(  # noqa: S603 - the user's own arguments to the user's own tool
            [*pinned.command, *options.arguments],
            cwd=directory,
            env=pinned.full_environment(),
            check=False,
        ).returncode


def _build(options: argparse.Namespace) -> int:
    """Fill `python_modules/` below `--out`, as `wrangler deploy` uploads it."""
    if options.policy is not None:
        read_policy(options.policy)  # a deployment of one that is refused answers nothing but 503
    site = toolchain.ensure_site()
    files = vendor.collect(toolchain.PROJECT / "src", site, options.policy)
    shutil.rmtree(options.out / "python_modules", ignore_errors=True)
    vendor.write([f for f in files if f.name.startswith("python_modules/")], options.out)
    plain, compressed = vendor.upload_bytes(files)
    budget = vendor.SIZE_BUDGET_BYTES
    sys.stdout.write(
        f"{len(files)} modules, {plain / _KIB:.0f} KiB, gzip {compressed / _KIB:.0f} KiB"
        f" (budget {budget // _KIB} KiB)\n"
    )
    if compressed > budget:
        sys.stderr.write("promptward-worker: the upload is over its budget\n")
        return 1
    return 0
