"""`promptward-worker quickstart`: the Worker on a real workerd with the demo upstream, in one go.

Prints what to try and then, when requests can be sent, one line `ready {JSON}` for scripts. Ctrl-C,
SIGTERM or the end of workerd stops all of it; the kernel stops the rest if this process is killed
(`child_process`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from promptward.cli.demo import MODEL, keys_in
from promptward_workerd import config, toolchain, vendor
from promptward_workerd.demo_upstream import demo_upstream
from promptward_workerd.greeting import Addresses, greeting
from promptward_workerd.policy_file import read_policy
from promptward_workerd.process import Workerd

_REFRESH_S = "1"


class _Stopped(Exception):  # noqa: N818 - not a failure
    """A signal asked us to stop."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser("quickstart", help="run the Worker on a real workerd")
    parser.add_argument("--port", type=int, default=8787, help="0 picks one (default: 8787)")
    parser.add_argument(
        "--policy", type=Path, default=toolchain.PROJECT / "policy.yaml", metavar="FILE"
    )
    parser.add_argument("--upstream", metavar="URL", help="a real LLM API instead of the demo's")
    parser.add_argument(
        "--upstream-log", type=Path, metavar="FILE", help="bodies that reached the demo upstream"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run until stopped; the exit code.

    Raises:
        PolicyError: the policy cannot be enforced by a Worker.
        ToolchainError, WorkerdError, DemoUpstreamError: a part cannot be installed or started.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _raise_stopped)
    directory = Path(tempfile.mkdtemp(prefix="promptward-worker-"))
    try:
        with _upstream(options, directory) as (upstream, log):
            return _serve(options, directory, upstream, log)
    except _Stopped:
        return 0
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _upstream(options: argparse.Namespace, directory: Path) -> Iterator[tuple[str, str]]:
    if options.upstream:
        if options.upstream_log:
            raise ValueError("--upstream-log needs the demo upstream; leave out --upstream")
        yield options.upstream, ""
        return
    log = options.upstream_log or directory / "upstream.jsonl"
    with demo_upstream(log) as url:
        yield url, str(log)


def _serve(options: argparse.Namespace, directory: Path, upstream: str, log: str) -> int:
    text, policy = read_policy(options.policy)
    tools = toolchain.ensure()
    files = vendor.collect(toolchain.PROJECT / "src", tools.site)
    vendor.write(files, directory)
    settings = config.WorkerConfig(
        directory,
        tuple(file.name for file in files),
        directory / "state",
        _variables(upstream),
    )
    file = config.write(settings)
    policy_file = settings.kv_dir / "policy"
    policy_file.write_text(text, "utf-8")
    log_file = directory / "workerd.log"
    with Workerd(tools, file, log_file, port=options.port, bound=True) as workerd:
        keys = keys_in(policy)
        where = Addresses(workerd.url, str(policy_file), log, str(directory))
        _say(greeting(where, keys))
        _say("ready " + json.dumps({"url": workerd.url, "model": MODEL, "keys": keys}))
        workerd.process.wait()
        sys.stderr.write(f"promptward-worker: workerd ended\n{workerd.tail()}\n")
        return 1


def _variables(upstream: str) -> dict[str, str]:
    variables = {"UPSTREAM": upstream, "POLICY_REFRESH_S": _REFRESH_S}
    key = os.environ.get("UPSTREAM_API_KEY")
    return {**variables, "UPSTREAM_API_KEY": key} if key else variables


def _say(text: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _raise_stopped(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped
