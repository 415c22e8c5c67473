"""Write a folder from which workerd serves the Worker, without Python or npm at run time.

    python3 deploy/images/worker_files.py OUT --state /var/lib/promptward
    UPSTREAM=https://api.openai.com LISTEN=0.0.0.0:8787 OUT/serve

The Worker's variables (promptward_worker.settings) come from the environment when it starts, the
policy from the file STATE/kv/$POLICY_KEY, which may be edited while it runs; budgets are kept in
STATE/objects. OUT may be moved, STATE not.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
from pathlib import Path

from promptward_worker.settings import WorkerSettings
from promptward_workerd import config, toolchain, vendor
from promptward_workerd.process import make_snapshot

_SERVE = """#!/bin/sh
# Written by deploy/images/worker_files.py.
cd "$(dirname "$0")" || exit 1
exec ./workerd serve config.capnp --experimental \\
  --pyodide-bundle-disk-cache-dir=bundle \\
  --python-snapshot-dir=. --python-load-snapshot=snapshot.bin \\
  "--socket-addr=http=${LISTEN:-0.0.0.0:8787}" "$@"
"""


def write(out: Path, state: Path) -> None:
    """Install what is missing, then fill `out`.

    Raises:
        ToolchainError, WorkerdError: a part cannot be installed or does not start.
    """
    tools = toolchain.ensure()
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy2(tools.workerd, out / "workerd")
    shutil.copytree(tools.bundle_dir, out / "bundle", dirs_exist_ok=True)
    files = vendor.collect(toolchain.PROJECT / "src", tools.site)
    vendor.write(files, out)
    names = tuple(f.name.upper() for f in dataclasses.fields(WorkerSettings))
    settings = config.WorkerConfig(out, tuple(f.name for f in files), state, environment=names)
    make_snapshot(tools, config.write(settings), out)
    (out / "snapshot.log").unlink()
    serve = out / "serve"
    serve.write_text(_SERVE)
    serve.chmod(0o755)


def main(arguments: list[str]) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--state", type=Path, required=True, help="absolute path")
    options = parser.parse_args(arguments)
    write(options.out, options.state)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
